// Before anything is painted: what needs a script may show itself.
document.documentElement.classList.add("script");
