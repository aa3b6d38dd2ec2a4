# Makes the reference out of the comments of the headers.
#   awk -v form=md|man -v version=V -f reference.awk HEADER...
# A comment above belongs to what follows it, and to the lines after that up to the next comment or blank line; one at the end
# of a line to that line alone.  Names that end in _ are nobody's business.  What is public and has no comment is an error.

function fail(name) {
	printf "%s:%d: %s has no comment\n", FILENAME, FNR, name > "/dev/stderr"
	failed = 1
}

# ---- Two forms of output ----

function escape(text) {
	if (form == "man") {
		gsub(/\\/, "\\e", text)
		gsub(/-/, "\\-", text)
		if (text ~ /^[.']/)
			text = "\\\&" text
		return text
	}
	gsub(/[\\*_<`\[]/, "\\\\&", text)
	return text
}
function heading(text) {
	print form == "man" ? ".SH \"" escape(text) "\"" : "\n## " text "\n"
}
function subheading(text) {
	print form == "man" ? ".SS \"" escape(text) "\"" : "\n### " text "\n"
}
function verbatim(text,    n, lines, i) {
	sub(/\n+$/, "", text)
	if (form != "man") {
		print "```c\n" text "\n```"
		return
	}
	print ".PP\n.nf\n.ft B"
	n = split(text, lines, "\n")
	for (i = 1; i <= n; i++)
		print escape(lines[i])
	print ".ft R\n.fi"
}
function paragraph(text) {
	if (text ~ /^\* ?/) {
		sub(/^\* ?/, "", text)
		text = text == "" ? "Required." : "Required. " text
	}
	gsub(/  +/, " ", text)
	if (text != "")
		print form == "man" ? ".PP\n" escape(text) : "\n" escape(text) "\n"
}

# ---- One after the other: declarations, then what is said of them ----

function flush() {
	if (declared != "") {
		verbatim(declared)
		paragraph(said)
	}
	declared = said = ""
}
# A declaration with its own comment, or with that above those before it.
function declare(code, own, name, tailed) {
	if (own == "" && declared != "" && above != "")
		own = said
	else
		flush()
	above = tailed ? "" : own
	if (own == "" && name !~ /_$/)
		fail(name)
	gsub(/^[ \t]+/, "", code)
	gsub(/\n[ \t]+/, "\n        ", code)
	declared = declared code "\n"
	said = own
}
function take() {
	t = pending
	pending = ""
	return t
}
# The text of a comment's line, without its signs.
function bare(line) {
	gsub(/^[ \t]*\/?\*+\/?[ \t]?/, "", line)
	gsub(/[ \t]*\*\/.*$/, "", line)
	return line
}
# Cuts a comment from the end of a line into `tail`.
function cut(line,    i) {
	tail = ""
	i = index(line, "/*")
	if (i > 0) {
		tail = bare(substr(line, i))
		line = substr(line, 1, i - 1)
	}
	sub(/[ \t]+$/, "", line)
	return line
}
function name_of(code,    n) {
	n = code
	if (match(n, /\(\*[a-z_0-9]+\)/))
		return substr(n, RSTART + 2, RLENGTH - 3)
	sub(/\(.*/, "", n)
	sub(/;.*/, "", n)
	sub(/.*[ *]/, "", n)
	return n
}

BEGIN {
	if (form == "man")
		print ".\\\" Made by reference.awk from the headers.\n.TH OPENCLAW-MODULE 3 \"\" \"OpenClaw " version "\"\n.ad l\n.SH NAME\nopenclaw-module \\- the interface of OpenClaw's modules"
	else
		print "# Reference of the module interface\n\nOpenClaw " version ", made from the comments of the headers. How the pieces fit together: guide.md."
}

FNR == 1 {
	flush()
	where = "top"
	pending = ""
}

# The head of a file, as it stands.
where == "top" && /^\/\*$/ { where = "head"; head = ""; next }
where == "head" && /^ \*\/$/ {
	where = ""
	file = FILENAME
	sub(/.*\//, "", file)
	if (file != "test_host.h" && file != "test_services.h") {
		heading("<openclaw/" file ">")
		verbatim(head)
	}
	next
}
where == "head" { sub(/^ \* ?/, ""); head = head $0 "\n"; next }
where == "top" { next }

# Bodies of functions, long macros.
where == "body" { if (/^}/) where = ""; next }
where == "macro" {
	if (status && match($0, /X\(OC_[A-Z_]+, -?[0-9]+, "[^"]*"\)/)) {
		row = substr($0, RSTART + 2, RLENGTH - 3)
		gsub(/"/, "", row)
		list = list row "\n"
	}
	if (!/\\$/) {
		where = ""
		if (status) {
			verbatim("OC_OK, 0\n" list)
			status = 0
		}
	}
	next
}

# Comments.
/^\/\* ----.*---- ?\*\/$/ || /^\/\* -----* .* -----* \*\/$/ {
	flush()
	line = $0
	gsub(/^\/\* -+ | -+ \*\/$/, "", line)
	section = line
	told = 0
	next
}
where != "enum" && /^[ \t]*\/\*/ {
	flush_later = 1
	pending = bare($0)
	if ($0 !~ /\*\//)
		comment = 1
	next
}
comment {
	if (/\*\//)
		comment = 0
	line = bare($0)
	if (line != "")
		pending = pending == "" ? line : pending " " line
	next
}
/^[ \t]*$/ {
	flush()
	if (pending != "" && where == "")
		paragraph(take()) # said of all that follows
	next
}
!told && section != "" && (/^typedef/ || /^enum/ || /^#define OC/ || /^static inline/ || /^OCT_API/) {
	if ($0 !~ /_\(/) {
		subheading(section)
		told = 1
	}
}

# Structures.
where == "" && /^typedef struct [a-z_]+ \{/ {
	flush()
	name = $3
	if (name ~ /_$/) {
		where = "hidden"
		pending = ""
		next
	}
	print form == "man" ? ".SS \"struct " name "\"" : "\n#### struct " name "\n"
	paragraph(take())
	where = "struct"
	next
}
where == "hidden" { if (/^}/) where = ""; next }
where == "struct" && /^}/ { flush(); where = ""; next }
where == "struct" {
	code = cut($0)
	own = tail
	while (code !~ /;$/ && (getline line) > 0) {
		line = cut(line)
		own = tail
		code = code "\n" line
	}
	# A remark that goes on in the next line.
	if ($0 ~ /\/\*/ && $0 !~ /\*\//) {
		while ((getline line) > 0) {
			own = own " " bare(line)
			if (line ~ /\*\//)
				break
		}
	}
	if (pending != "") {
		before = take()
		own = own == "" ? before : before " " own
	}
	declare(code, own, name_of(code), own != "" && before == "")
	before = ""
	next
}

# Constants, as they stand.
where == "" && /^enum \{/ {
	flush()
	paragraph(take())
	block = $0
	if ($0 !~ /\};/)
		where = "enum"
	else
		verbatim(block)
	next
}
where == "enum" {
	block = block "\n" $0
	if (/^};/) {
		where = ""
		if (block !~ /_ENUM_/)
			verbatim(block)
	}
	next
}

# Types and macros.
where == "" && /^typedef .*;/ {
	code = cut($0)
	declare(code, tail != "" ? tail : take(), name_of(code), tail != "")
	next
}
where == "" && /^#define OC_STATUS_MAP/ { flush(); paragraph(take()); where = "macro"; status = 1; list = ""; next }
where == "" && /^#define (OC|oct)[A-Za-z_]*\(/ {
	code = $0
	sub(/^#define /, "", code)
	match(code, /^[A-Za-z_]+\([^)]*\)/)
	code = substr(code, 1, RLENGTH)
	if (/\\$/)
		where = "macro"
	if (code ~ /_\(/ || (pending == "" && said == "" && code ~ /^OC_/)) {
		pending = ""
		next
	}
	declare(code, take(), code)
	next
}
where == "" && /^#define [A-Z_]+ / && pending != "" {
	code = cut($0)
	sub(/^#define /, "", code)
	declare(code, take(), $2)
	next
}
/^#|^extern|^}|^_Static_assert/ { if (/\\$/) where = "macro"; next }

# Functions.
where == "" && /^(static inline|OCT_API|OCT_FORMAT)/ {
	code = $0
	while (code !~ /\)$/ && (getline line) > 0)
		code = code "\n" line
	where = "body"
	sub(/^(static inline|OCT_API) /, "", code)
	name = code
	sub(/\(.*/, "", name)
	sub(/.*[ *]/, "", name)
	if (name ~ /_$/ || code ~ /^OCT_FORMAT/) {
		pending = ""
		next
	}
	declare(code ";", take(), name)
	next
}

END {
	flush()
	exit failed
}
