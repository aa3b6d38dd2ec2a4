#!/bin/sh
# usage: tests/abi/freeze.sh HEADER
# Writes the face of <openclaw/module.h> as assertions: type and offset of every member of every struct that crosses, the
# sizes, the values of all constants.  The output is kept as frozen_v<major>_<minor>.h; once a minor is released its file
# never changes, and later headers must still satisfy it.
set -eu
header=$1
dir=$(mktemp -d "${TMPDIR:-/tmp}/oc-freeze.XXXXXX")
trap 'rm -rf "$dir"' EXIT

awk '
# Comments out, everything on one line a declaration.
{
	line = $0
	while (1) {
		if (in_comment) {
			k = index(line, "*/")
			if (k == 0) { line = ""; break }
			line = substr(line, k + 2)
			in_comment = 0
		}
		k = index(line, "/*")
		if (k == 0)
			break
		rest = substr(line, k + 2)
		line = substr(line, 1, k - 1)
		e = index(rest, "*/")
		if (e == 0) { in_comment = 1; break }
		line = line " " substr(rest, e + 2)
	}
	if (line ~ /^#define OC_(SERVICE|ABI|MODULE_MAGIC)[A-Z_]* /) {
		split(line, word, /[ \t]+/)
		if (line ~ /"/) strings[++n_strings] = word[2]
		else if (word[2] !~ /ABI_MINOR/) constants[++n_constants] = word[2]
	}
	if (line ~ /^[ \t]*X\(OC_E_/) {
		match(line, /OC_E_[A-Z_]+/)
		constants[++n_constants] = substr(line, RSTART, RLENGTH)
	}
	if (line ~ /^[ \t]*#/ || line ~ /\\$/)
		next
	if (mode == "" && line ~ /^typedef struct [a-z_]+ \{/) {
		split(line, word, " ")
		mode = word[3]
		text = ""
		structs[++n_structs] = mode
		next
	}
	if (mode == "" && line ~ /^enum /)
		mode = "enum"
	if (mode == "enum") {
		rest = line
		while (match(rest, /OC_[A-Z0-9_]+ = /)) {
			constants[++n_constants] = substr(rest, RSTART, RLENGTH - 3)
			rest = substr(rest, RSTART + RLENGTH)
		}
		if (line ~ /\}/)
			mode = ""
		next
	}
	if (mode != "" && line ~ /^\}/) {
		gsub(/[ \t]+/, " ", text)
		n = split(text, member, ";")
		for (i = 1; i < n; i++) {
			m = member[i]
			sub(/^ +/, "", m)
			if (m == "")
				continue
			if (match(m, /\(\*[a-z_0-9]+\)/)) {
				name = substr(m, RSTART + 2, RLENGTH - 3)
				type = substr(m, 1, RSTART + 1) substr(m, RSTART + RLENGTH - 1)
				add(mode, name, type)
			} else {
				# "size_t n, cap" does not occur in the header: one declaration, one member.
				match(m, /[a-z_0-9]+$/)
				name = substr(m, RSTART)
				type = substr(m, 1, RSTART - 1)
				sub(/ +$/, "", type)
				add(mode, name, type)
			}
		}
		mode = ""
		next
	}
	if (mode != "")
		text = text " " line
}
function add(s, name, type) { of[++n_members] = s; names[n_members] = name; types[n_members] = type }
END {
	print "#include <stdio.h>\n#include <openclaw/module.h>\nint main(void)\n{"
	for (i = 1; i <= n_strings; i++)
		printf "\tprintf(\"OC_FROZEN_TEXT(%s, \\\"%%s\\\")\\n\", %s);\n", strings[i], strings[i]
	for (i = 1; i <= n_constants; i++)
		printf "\tprintf(\"OC_FROZEN_VALUE(%s, %%lld)\\n\", (long long)%s);\n", constants[i], constants[i]
	for (s = 1; s <= n_structs; s++) {
		for (i = 1; i <= n_members; i++)
			if (of[i] == structs[s])
				printf "\tprintf(\"OC_FROZEN(%s, %s, %%zu, %s)\\n\", offsetof(%s, %s));\n", of[i], names[i], types[i], of[i], names[i]
		printf "\tprintf(\"OC_FROZEN_SIZE(%s, %%zu)\\n\", sizeof(%s));\n", structs[s], structs[s]
	}
	print "\treturn 0;\n}"
}' "$header" >"$dir/print.c"

${CC:-cc} -std=gnu11 -I"$(dirname "$(dirname "$header")")" "$dir/print.c" -o "$dir/print"
"$dir/print"
