#!/bin/sh
# Find a Chromium for the tests of the page, or install one: Debian's package, or else Playwright's own build.
set -eu
for browser in chromium chromium-browser google-chrome; do
    if command -v "$browser" >/dev/null; then
        echo "browser: $(command -v "$browser")"
        exit 0
    fi
done
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    apt-get update -q && apt-get install -y -q --no-install-recommends chromium
else
    "$PLAYWRIGHT" install chromium
fi
