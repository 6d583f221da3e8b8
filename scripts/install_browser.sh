#!/usr/bin/env bash
# The browser tests drive Chromium. Debian and Ubuntu: by apt, with fonts for Chinese; elsewhere an installed one is used.
set -euo pipefail
find_browser() { command -v chromium || command -v chromium-browser || command -v google-chrome; }
have_fonts() { command -v fc-list >/dev/null && fc-list :lang=zh | grep -q .; }

if find_browser >/dev/null && have_fonts; then
    exit 0
fi
if command -v apt-get >/dev/null; then
    sudo=; [ "$(id -u)" -eq 0 ] || sudo=sudo
    $sudo apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends chromium fonts-noto-cjk fonts-noto-color-emoji fontconfig
fi
find_browser >/dev/null || {
    echo "error: no Chromium found. Install chromium or google-chrome so that it is on the PATH." >&2
    exit 1
}
