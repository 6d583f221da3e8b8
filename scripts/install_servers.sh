#!/usr/bin/env bash
# OpenSearch and Elasticsearch for the tests and the demo: install_servers.sh PYTHON ENGINES, as in `.venv/bin/python embedded,opensearch`.
# Java and Maven come by apt on Debian and Ubuntu where they are missing; what has a URL given is not fetched.
set -euo pipefail
python=$1 wanted=()
IFS=, read -ra engines <<<"$2"
for engine in "${engines[@]}"; do
    case $engine in
    embedded) ;;
    opensearch) [ -n "${OPENSEARCH_URL:-}" ] || wanted+=("$engine") ;;
    elasticsearch) [ -n "${ELASTICSEARCH_URL:-}" ] || wanted+=("$engine") ;;
    *) echo "error: ENGINES names $engine; it may name embedded, opensearch and elasticsearch." >&2; exit 1 ;;
    esac
done
[ ${#wanted[@]} -gt 0 ] || exit 0

if ! "$python" -m hybrid_search.search_server check "${wanted[@]}" 2>/dev/null && command -v apt-get >/dev/null; then
    sudo=; [ "$(id -u)" -eq 0 ] || sudo=sudo
    echo "installing Java and Maven"
    $sudo apt-get update -qq
    # The newest kit that this release of the system has.
    java=$(apt-cache search --names-only '^openjdk-[0-9]+-jdk-headless$' | cut -d' ' -f1 | sort -V | tail -1)
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends maven "${java:-default-jdk-headless}"
fi
"$python" -m hybrid_search.search_server fetch "${wanted[@]}"
