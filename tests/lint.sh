#!/bin/sh
# usage: tests/lint.sh [SOURCE-TREE]
#
# Reads every C file and says, as FILE:LINE: message, what the rules of CONTRIBUTING.md do not allow: banned calls, includes
# that reach over a wall or up a floor, files and functions that are too long, sources that no local.mk builds.
# Exit status: 0 nothing found, 1 something found, 2 it could not run.
set -u
root=${1:-$(dirname "$0")/..}
cd "$root" || exit 2
export LC_ALL=C

files=$(find core modules ipc-bridge plugin-sdk tests -name '*.[ch]' -type f ! -path '*/node_modules/*' 2>/dev/null | sort)
test -n "$files" || { echo "lint: no C files in $root" >&2; exit 2; }

# The fragments, one line each ("\" joins), as "folder<TAB>text", for the check that every source is built.
fragments=$(find core modules ipc-bridge plugin-sdk contrib tests -name local.mk -type f | sort)

# shellcheck disable=SC2086 # lists of plain names
awk '
function complain(text) { printf "%s:%d: %s\n", FILENAME, FNR, text; found = 1 }
function complain_at(line, text) { printf "%s:%d: %s\n", FILENAME, line, text; found = 1 }

# Floors of DESIGN.md, section 1.  A file uses its own room and the floors below.
BEGIN {
	floor["core/main.c"] = 8; floor["core/cli"] = 7; floor["core/gateway"] = 6; floor["core/agent"] = 5
	floor["ipc-bridge"] = 5; floor["core/module"] = 4; floor["core/hook"] = 3; floor["core/store"] = 3
	floor["core/net"] = 3; floor["core/security"] = 3; floor["core/config"] = 3; floor["core/loop"] = 2
	floor["core/data"] = 2; floor["core/base"] = 1
	max_file = 1000; max_test_file = 1500; max_function = 120
	n = split("strcpy strcat sprintf vsprintf strtok atoi atol atoll atof gets scanf sscanf fscanf system alloca tmpnam mktemp", names, " ")
	for (i = 1; i <= n; i++)
		banned[names[i]] = 1
	# Tests read their own output and start their own commands.
	fit_for_tests["system"] = fit_for_tests["atoi"] = fit_for_tests["atol"] = fit_for_tests["sscanf"] = 1
	instead["strcpy"] = "oc_sbuf or memcpy with a checked size"; instead["strcat"] = "oc_sbuf"
	instead["sprintf"] = instead["vsprintf"] = "snprintf or oc_sbuf_printf"; instead["strtok"] = "oc_str_cut"
	instead["atoi"] = instead["atol"] = instead["atoll"] = instead["atof"] = "oc_str_i64 or strtod with its end checked"
	instead["gets"] = instead["scanf"] = instead["sscanf"] = instead["fscanf"] = "a parser that checks ranges"
	instead["system"] = "uv_spawn with an argument list"; instead["alloca"] = "oc_arena or oc_alloc"
	instead["tmpnam"] = instead["mktemp"] = "mkstemp or mkdtemp"
}

function room_of(path,   part, k) {
	if (path == "core/main.c")
		return path
	k = split(path, part, "/")
	if (part[1] == "ipc-bridge")
		return "ipc-bridge"
	return k > 2 ? part[1] "/" part[2] : part[1]
}

# Ends of files are seen at the start of the next one (no gawk here).
function end_of_file() {
	if (last_file != "" && last_fnr > (last_file ~ /^tests\// ? max_test_file : max_file)) {
		printf "%s:%d: the file has %d lines; %d is the most\n", last_file, last_fnr, last_fnr, last_file ~ /^tests\// ? max_test_file : max_file
		found = 1
	}
}

# ---- local.mk: which sources are named ----
FILENAME ~ /local\.mk$/ {
	if (FNR == 1) {
		dir = FILENAME
		sub(/\/local\.mk$/, "", dir)
	}
	line = $0
	if (line ~ /^#/)
		next
	gsub(/%D%/, dir, line)
	k = split(line, word, /[ \t\\]+/)
	for (i = 1; i <= k; i++) {
		built[word[i]] = 1
		if (word[i] ~ /^tests\/(unit|fuzz|bench)\/[a-z0-9_]+$/)
			built[word[i] ".c"] = 1
	}
	next
}

FNR == 1 {
	end_of_file()
	last_file = FILENAME
	in_comment = 0
	body_start = 0
	room = room_of(FILENAME)
	is_module = FILENAME ~ /^modules\//
	in_test = FILENAME ~ /^tests\//
	is_core = FILENAME ~ /^(core|ipc-bridge)\//
	sdk = FILENAME ~ /^plugin-sdk\/include\//
	if (FILENAME ~ /^(core|modules|ipc-bridge)\// && FILENAME != "core/main.c" && !(FILENAME in built))
		complain("no local.mk names this file: it is neither built nor in the distribution")
}

{
	last_fnr = FNR
	code = $0
	if (code ~ /[ \t]$/)
		complain("white space at the end of the line")

	# Includes, before strings are blanked.
	if (!in_comment && code ~ /^[ \t]*#[ \t]*include/) {
		target = code
		quoted = target ~ /include[ \t]*"/
		sub(/^[ \t]*#[ \t]*include[ \t]*["<]/, "", target)
		sub(/[">].*$/, "", target)
		if (is_module && (target ~ /^(core|ipc-bridge|tests)\// || target ~ /^\.\.\// || target ~ /\/\.\.\//))
			complain("a module includes \"" target "\": modules use <openclaw/...> and their own files only")
		else if (is_module && quoted && target ~ /\// )
			complain("a module names its own files without a path: \"" target "\"")
		else if (is_module && target ~ /^(uv\.h|nng\/|mbedtls\/|curl\/|llhttp\.h|seccomp\.h)/)
			complain("a module includes <" target ">: that library belongs to the host")
		else if (sdk && quoted)
			complain("installed headers include <openclaw/...> and system headers only")
		else if (sdk && target ~ /\// && target !~ /^(openclaw|sys|linux)\//)
			complain("installed headers include <openclaw/...> and system headers only")
		else if (is_core && quoted) {
			if (target !~ /^(core|ipc-bridge)\//) {
				if (target != "config.h")
					complain("includes are written from the top: \"" target "\"")
			} else {
				other = room_of(target)
				if (!(other in floor))
					complain("\"" target "\" is in no room that DESIGN.md has a floor for")
				else if (other != room && floor[other] >= floor[room])
					complain(room " (floor " floor[room] ") includes " target " (floor " floor[other] "): only floors below are used")
			}
		}
	}

	# Comments and literals away.
	out = ""
	while (code != "") {
		if (in_comment) {
			k = index(code, "*/")
			if (k == 0) { code = ""; break }
			code = substr(code, k + 2)
			in_comment = 0
			continue
		}
		if (!match(code, /\/\*|\/\/|"|\047/)) { out = out code; code = ""; break }
		out = out substr(code, 1, RSTART - 1)
		mark = substr(code, RSTART, RLENGTH)
		code = substr(code, RSTART + RLENGTH)
		if (mark == "/*") { in_comment = 1; continue }
		if (mark == "//") { code = ""; break }
		# A literal: skip to its end on this line.
		while (code != "") {
			c = substr(code, 1, 1)
			if (c == "\\") { code = substr(code, 3); continue }
			code = substr(code, 2)
			if (c == mark)
				break
		}
		out = out mark mark
	}

	# Banned calls; members of that name (x->system(...)) are not calls of the C library.
	rest = out
	while (match(rest, /[A-Za-z_][A-Za-z0-9_]*[ \t]*\(/)) {
		word_end = RSTART + RLENGTH - 1
		name = substr(rest, RSTART, RLENGTH - 1)
		before = substr(rest, 1, RSTART - 1)
		sub(/[ \t]+$/, "", name)
		if ((name in banned) && !(in_test && (name in fit_for_tests)) && before !~ /(\.|->)$/)
			complain(name "() is banned; use " instead[name])
		rest = substr(rest, word_end + 1)
	}

	# Functions: from a "{" to a "}" in the first column.
	if (out ~ /^\{/)
		body_start = FNR
	else if (out ~ /^\}/ && body_start > 0) {
		if (FNR - body_start + 1 > max_function)
			complain_at(body_start, "the function has " (FNR - body_start + 1) " lines; " max_function " is the most")
		body_start = 0
	}
}

END {
	end_of_file()
	exit found
}' $fragments $files
