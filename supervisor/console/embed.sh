#!/bin/sh
# SPDX-License-Identifier: MIT
# Writes the C source that holds the page: sh embed.sh FILE... > console_assets.c
# The assembler copies the bytes (.incbin), so a file is neither parsed nor escaped.
set -eu

content_type() {
    case $1 in
    *.html) echo 'text/html; charset=utf-8' ;;
    *.js) echo 'text/javascript; charset=utf-8' ;;
    *.css) echo 'text/css; charset=utf-8' ;;
    *.svg) echo 'image/svg+xml' ;;
    *) echo "embed.sh: $1: no content type is known for it; add one" >&2; return 1 ;;
    esac
}

echo '/* Made by supervisor/console/embed.sh. */'
echo '#include "supervisor/console/assets.h"'
n=0
for file; do
    printf '__asm__(".section .rodata\\n"\n'
    printf '        ".global asset_%s, asset_%s_end\\n"\n' $n $n
    printf '        "asset_%s: .incbin \\"%s\\"\\n"\n' $n "$file"
    printf '        "asset_%s_end: .byte 0\\n"\n        ".previous\\n");\n' $n
    printf 'extern const char asset_%s[], asset_%s_end[];\n' $n $n
    n=$((n + 1))
done
echo 'const struct asset assets[] = {'
n=0
for file; do
    name=$(basename "$file")
    type=$(content_type "$name")
    [ "$name" = index.html ] && name=
    etag=$(sha256sum "$file" | cut -c1-32)
    printf '    {"/%s", "%s", "\\"%s\\"", asset_%s, asset_%s_end},\n' "$name" "$type" "$etag" $n $n
    n=$((n + 1))
done
echo '};'
echo "const size_t assets_count = $n;"
