// The page of one product: a picture brought here starts a search with it.

import { onPicture } from "./picture.js";

onPicture(async (file) => {
  const body = new FormData();
  body.append("picture", file);
  const reply = await fetch("/pictures", { method: "POST", body, headers: { Accept: "application/json" } });
  const said = await reply.json();
  if (reply.ok) window.location.assign(`/?picture=${said.picture}`);
});
