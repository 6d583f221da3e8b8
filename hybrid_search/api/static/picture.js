// Three ways to bring a picture: choose a file, drop one anywhere, paste one.

/** Call `use` with the picture file that the shopper brings. */
export function onPicture(use) {
  const input = document.getElementById("picture-file");
  document.getElementById("choose-picture").addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    if (input.files.length) use(input.files[0]);
    input.value = "";
  });
  wireDrop(use);
  document.addEventListener("paste", (event) => {
    const file = pictureOf(event.clipboardData);
    if (!file) return;
    event.preventDefault();
    use(file);
  });
}

function pictureOf(transfer) {
  return [...(transfer?.files ?? [])].find((file) => file.type.startsWith("image/")) ?? null;
}

function wireDrop(use) {
  const target = document.getElementById("drop");
  let depth = 0;
  const carriesFile = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  document.addEventListener("dragenter", (event) => {
    if (!carriesFile(event)) return;
    depth += 1;
    target.hidden = false;
  });
  document.addEventListener("dragover", (event) => { if (carriesFile(event)) event.preventDefault(); });
  document.addEventListener("dragleave", (event) => {
    if (!carriesFile(event)) return;
    depth = Math.max(0, depth - 1);
    target.hidden = depth === 0;
  });
  document.addEventListener("drop", (event) => {
    depth = 0;
    target.hidden = true;
    if (!carriesFile(event)) return;
    event.preventDefault();
    const file = pictureOf(event.dataTransfer);
    if (file) use(file);
  });
}
