# Tells what lies on this machine's disk, for a client that decides what of it counts; writes nothing else.
#
# The client appends a function `survey` that calls what stands here, and one last line that starts `main`: nothing
# runs before all of it has arrived. Records end with NUL, which no name can hold; each begins with a letter.
# What is told may be more than the client needs, never less: it takes what it was not told of as unreadable.
#
# Functions call themselves, and `local` is not in POSIX: what must outlive such a call is a positional parameter.
# Starting a program costs a millisecond, so directories are read by the shell and files are hashed in batches.

# Neither functions of the server's environment stand in for programs, nor do its variables change what these print.
unset -f basename cat cd command date echo find head id kill ls od openssl perl printf pwd read readlink sed sha256sum shasum stat test tr true wc xargs
unset QUOTING_STYLE TIME_STYLE BLOCK_SIZE BLOCKSIZE LS_BLOCK_SIZE COLUMNS TABSIZE LS_COLORS LS_OPTIONS LANGUAGE TZ
unset POSIXLY_CORRECT _POSIX2_VERSION GREP_OPTIONS PERL5OPT PERL5LIB PERLLIB PERL5DB OPENSSL_CONF OPENSSL_MODULES
unset CDPATH GLOBIGNORE ENV BASH_ENV

batch='' batch_size=0
calls=0
roots=0 queued=//
besides=//
linked=0 linked_limit=100000
listings=0 listing_names=''
entered=0 entered_names=''
# Modules that find may list, where it can and nothing in modules is left out.
plain_size=0 plain_names='' lists_plainly=''
# What find tells of each of their files beside its name, and whether that stands for reading it.
stats='' recalls=''
# The path of the entry that was told last, as long as its listing is the innermost one.
told=
attempts=3
all_bytecode=
heads='' heads_size=0
detect_files='' detect_roots=''
newline='
'
return_key=$(printf '\r')

# Sets `absolute` to the directories of a path that do not depend on the working one: in a module its own files must
# not be taken for programs.
absolute() { # PATH:
	absolute=
	while [ -n "$1" ]; do
		case $1 in
		/*) absolute=$absolute${1%%:*}: ;;
		esac
		set -- "${1#*:}"
	done
}

prepare() {
	set +efu
	IFS=" 	$newline"
	LC_ALL=C
	absolute "$PATH:"
	PATH=$absolute/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
	export LC_ALL PATH
	if [ -n "${YASH_VERSION-}" ]; then
		printf 'Ethe shell sh of the server is yash, which leaves out names that are no text\000'
		return 1
	fi
	# bash takes options from the environment, even as sh.
	if command -v shopt >/dev/null 2>&1; then
		# shellcheck disable=SC3044 # it is there
		shopt -u nullglob failglob nocaseglob nocasematch extglob dotglob 2>/dev/null
	fi
	if command -v sha256sum >/dev/null 2>&1; then
		hasher=sha256sum
	elif command -v shasum >/dev/null 2>&1; then
		hasher='shasum -a 256'
	elif command -v openssl >/dev/null 2>&1; then
		hasher='openssl dgst -sha256 -r'
	else
		printf 'Enone of sha256sum, shasum and openssl is installed on the server: install coreutils there\000'
		return 1
	fi
	fast_hasher=$hasher
	! openssl_is_right || fast_hasher='openssl dgst -sha256 -r'
	find_is_rich || lists_plainly=
	if tells_stats; then tell_start; else stats='' recalls=''; fi
}

# Of one file, or of standard input: with a reason in plain words where it fails.
digest() { $hasher "$@"; }

# Whether openssl is there and gives the right digests in the right form: it hashes faster, and starts more slowly.
openssl_is_right() {
	command -v openssl >/dev/null 2>&1 || return 1
	[ "$hasher" != 'openssl dgst -sha256 -r' ] || return 0
	found=$(printf abc | openssl dgst -sha256 -r /dev/stdin /dev/null 2>/dev/null) || return 1
	[ "$found" = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad */dev/stdin
e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 */dev/null" ]
}

# Whether find knows all that is asked of it below, as that of GNU does, and the programs beside it are there.
find_is_rich() {
	for program in find sed tr xargs; do
		command -v "$program" >/dev/null 2>&1 || return 1
	done
	found=$(find /. -prune \( ! -readable -o ! -executable \) -printf '!%H\n' -o -printf '%y%d %p\n' 2>/dev/null)
	[ "$found" = 'd0 /.' ]
}

# Whether find tells times with their fractions, and all else that tells one state of a file from another.
tells_stats() {
	[ -n "$stats" ] && [ -n "$lists_plainly" ] || return 1
	found=$(find /. -prune -printf "$stats\n" 2>/dev/null)
	case $found in
	:*[0-9]:*[0-9]:*[0-9]:*[0-9].?????????*:*[0-9].?????????*:?*) ;;
	*) return 1 ;;
	esac
}

# Tells the time, which start of which machine this is, and for whom.
tell_start() {
	printf 'T%s\000%s\000' "$(date +%s 2>/dev/null)" "$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)"
	printf '%s\000%s\000' "$(cat /etc/machine-id 2>/dev/null)" "$(id -u 2>/dev/null)"
}

main() { # NONCE
	printf '\000%s begin\000' "$1"
	if prepare; then
		survey
		look_into_roots
		flush_plain
		flush
		verify_listings
		verify_modules
	fi
	printf 'Z%s %s\000' "$1" "$calls"
}

call() {
	calls=$((calls + 1))
	linked=0
	"$@"
}

# ---- What is at a path

# Sets `why` to the reason that ls gives for failing: what stands behind its last colon.
reason() { # OPTIONS PATH
	if why=$(ls "$1" -- "$2" 2>&1 >/dev/null); then
		why=
	else
		why=${why##*: }
		why=${why:-it cannot be looked at}
	fi
}

# Sets `real` to a directory's path without links; that of the root is empty, so that names can be appended.
physical() { # DIRECTORY
	if cd -P -- "$1" 2>/dev/null; then real=$PWD; else real=$1; fi
	[ "$real" != / ] || real=
}

# Tells what is at a path, links followed, without reading it.
fact() { # PATH
	if [ -f "$1" ]; then
		printf 'F%s\000f\000' "$1"
	elif [ -d "$1" ]; then
		physical "$1"
		printf 'F%s\000d%s\000' "$1" "${real:-/}"
	elif [ -p "$1" ]; then
		printf 'F%s\000p\000' "$1"
	elif [ -S "$1" ]; then
		printf 'F%s\000s\000' "$1"
	elif [ -b "$1" ] || [ -c "$1" ]; then
		printf 'F%s\000c\000' "$1"
	elif [ -L "$1" ]; then
		reason -dL "$1"
		printf 'F%s\000l%s\000' "$1" "$why"
	elif [ -e "$1" ]; then
		printf 'F%s\000?\000' "$1"
	elif is_gone "$1"; then
		printf 'F%s\000g\000' "$1"
	else
		reason -d "$1"
		printf 'F%s\000u%s\000' "$1" "$why"
	fi
}

# Whether nothing is at a path that could not be looked at, where that is sure without asking ls.
is_gone() { # PATH
	[ "${#1}" -lt 4000 ] && [ -d "${1%/*}/" ] && [ -r "${1%/*}/" ] && [ -x "${1%/*}/" ] || return 1
	# A name that is listed and cannot be looked at is there.
	for entry in "${1%?}"?; do
		[ "$entry" != "$1" ] || return 1
	done
	set -- "${1##*/}"
	[ "${#1}" -le 255 ]
}

# Sets `kind` of a directory's entry: d directory, f anything else; D link to a directory, l to anything else; x what
# `why` keeps from being told, as of a broken link; ? where only the name is known; nothing when it is gone.
classify() { # PATH DIRECTORY
	if [ -L "$1" ]; then
		if [ -d "$1" ]; then
			kind=D
		elif [ -e "$1" ]; then
			kind=l
		else
			kind=x
			reason -dL "$1"
		fi
	elif [ -d "$1" ]; then
		kind=d
	elif [ -e "$1" ]; then
		kind=f
	elif [ ! -x "$2" ]; then
		kind=\?
	else
		kind=x
		reason -d "$1"
		case $why in
		'No such file or directory') kind= ;;
		esac
	fi
}

# Tells of the entry that was classified last, which lies at `path`.
tell() { # NAME
	told=$path
	case $kind in
	'') ;;
	x) printf 'x%s\000%s\000' "$1" "$why" ;;
	*) printf '%s%s\000' "$kind" "$1" ;;
	esac
}

# A pattern that matches nothing stands for itself: whether a name is such a one and no entry.
is_pattern() { # NAME PATH DIRECTORY
	case $1 in
	\* | '.[!.]*' | '..?*') [ ! -e "$2" ] && [ ! -L "$2" ] && ! has_name "$1" "$3" ;;
	*) return 1 ;;
	esac
}

# Whether a directory that may not be entered has an entry of that name.
has_name() { # NAME DIRECTORY
	[ ! -x "$2" ] || return 1
	names=$newline$(ls -a -- "$2" 2>/dev/null)$newline
	case $names in
	*"$newline$1$newline"*) return 0 ;;
	esac
	return 1
}

# Tells a directory's path, nothing where it is the entry that was told last, and its path without links, nothing
# where that is the same.
short() { # DIRECTORY
	[ "$1" = "$told" ] || printf '%s' "$1"
	printf '\000'
	[ "$1" = "$real" ] || printf '%s' "${real:-/}"
	printf '\000'
}

# Begins to tell of a directory's entries; fails where they cannot be had. A filter says which are told.
begin_listing() { # DIRECTORY FILTER
	if [ ! -d "$1" ]; then
		fact "$1"
		return 1
	fi
	physical "$1"
	printf 'L'
	short "$1"
	printf '%s\000' "$2"
	told=
	[ -r "$1" ] && return 0
	reason -a "$1"
	[ -n "$why" ] || return 0
	printf '!%s\000' "$why"
	return 1
}

# An error ends the shell's patterns in silence, so a directory that seems to be empty is looked at again at once, and
# every other one in the end.
end_listing() { # DIRECTORY SEEN
	told=
	if [ -z "$2" ]; then
		unlisted "$1"
		[ -z "$why" ] || {
			printf '!%s\000' "$why"
			return
		}
	fi
	printf '.\000'
	eval "listing_$listings=\$1"
	listing_names="$listing_names \"\$listing_$listings\""
	listings=$((listings + 1))
	[ "$listings" -lt 250 ] || verify_listings
}

# Sets `why` a directory that seems to be empty cannot be listed.
unlisted() { # DIRECTORY
	why=
	if names=$(ls -a -- "$1" 2>&1); then
		[ "$names" = ".$newline.." ] || why='its names cannot be told'
	else
		why=${names##*: }
		why=${why:-it cannot be listed}
	fi
}

# Looks at the directories that were listed once more with ls, which tells where a listing breaks off. Of rights
# everything was told before.
verify_listings() {
	[ "$listings" -eq 0 ] || eval "listing_names= listings=0; verify -a $listing_names"
}

verify_modules() {
	[ "$entered" -eq 0 ] || eval "entered_names= entered=0; verify -aR $entered_names"
}

verify() { # OPTIONS DIRECTORY...
	ls "$@" >/dev/null 2>&1 && return 0
	option=$1
	shift
	for directory; do
		names=$(ls "$option" -- "$directory" 2>&1 >/dev/null) && continue
		without_rights "$names"
		[ -z "$why" ] || printf 'B%s\000%s\000' "$directory" "$why"
	done
}

# Sets `why` to the first reason that ls gives and that has nothing to do with rights.
without_rights() { # WORDS
	why='it cannot be listed'
	[ -n "$1" ] || return 0
	why=
	set -- "$1$newline"
	while [ -n "$1" ]; do
		case ${1%%"$newline"*} in
		*'Permission denied' | '') ;;
		*)
			why=${1%%"$newline"*}
			why=${why##*: }
			return
			;;
		esac
		set -- "${1#*"$newline"}"
	done
}

# ---- Patterns: the components are =NAME, ~PATTERN and **, with / between them

# Follows the components from a directory on; at their end is a file or an addon root.
walk() { # END CONTEXT DIRECTORY COMPONENTS
	case $4 in
	'') "end_$1" "$2" "$3" ;;
	'**' | '**/'*)
		if [ -d "$3" ]; then
			physical "$3"
			rest_of "$4"
			deep "$1" "$2" "$3" "$rest" "$real" '' "$real"
		else
			fact "$3"
		fi
		;;
	=*) literal "$@" ;;
	*) matching "$@" ;;
	esac
}

rest_of() { # COMPONENTS
	case $1 in
	*/*) rest=${1#*/} ;;
	*) rest= ;;
	esac
}

literal() { # END CONTEXT DIRECTORY COMPONENTS
	beside "$@"
	step=${4%%/*}
	rest_of "$4"
	set -- "$1" "$2" "${3%/}/${step#=}" "$rest"
	if [ -z "$4" ]; then
		"end_$1" "$2" "$3"
	elif "$2_excluded" "$3"; then
		:
	elif [ -d "$3" ]; then
		walk "$@"
	else
		fact "$3"
	fi
}

matching() { # END CONTEXT DIRECTORY COMPONENTS
	begin_listing "$3" "${4%%/*}" || return 0
	set -- "$1" "$2" "${3%/}" "$4" "$3" ''
	for path in "$3"/* "$3"/.[!.]* "$3"/..?*; do
		name=${path##*/}
		is_pattern "$name" "$path" "$5" && continue
		[ -n "$6" ] || set -- "$1" "$2" "$3" "$4" "$5" seen
		step=${4%%/*}
		# shellcheck disable=SC2254 # a pattern is what it is
		case $name in
		${step#?}) ;;
		*)
			notices "$1" "$2" "$4" "$name" || continue
			classify "$path" "$5"
			tell "$name"
			continue
			;;
		esac
		classify "$path" "$5"
		tell "$name"
		rest_of "$4"
		case $kind:$rest:$1 in
		:*) ;;
		[dD?]:?*:*) "$2_excluded" "$path" || walk "$1" "$2" "$path" "$rest" ;;
		*:?*:*) ;;
		[dD]::root) end_root "$2" "$path" ;;
		*::root) ;;
		[dD]::file) [ "$step" = '~*' ] || fact "$path" ;;
		*) end_file "$2" "$path" ;;
		esac
	done
	end_listing "$5" "$6"
}

# Whether an entry that the last component of a pattern does not match is to be told of: a compose file where others are.
notices() { # END CONTEXT COMPONENTS NAME
	case $1$3 in
	file*/*) return 1 ;;
	file?*) is_compose_name "$4" && "$2_notices" ;;
	*) return 1 ;;
	esac
}

is_compose_name() { # NAME
	case $1 in
	compose.y*ml | compose[.-]?*.y*ml | docker-compose.y*ml | docker-compose[.-]?*.y*ml) ;;
	*) return 1 ;;
	esac
}

# Tells of the compose files in the directory of a single file, once.
beside() { # END CONTEXT DIRECTORY COMPONENTS
	notices "$1" "$2" "$4" compose.yml || return 0
	case $besides in *"//$3//"*) return 0 ;; esac
	besides=$besides$3//
	if [ ! -d "$3" ] || [ ! -r "$3" ] || [ ! -x "$3" ]; then return; fi
	begin_listing "$3" b || return 0
	for path in "${3%/}"/*compose*.y*ml; do
		name=${path##*/}
		is_compose_name "$name" || continue
		classify "$path" "$3"
		tell "$name"
	done
	end_listing "$3" seen
}

# `**`: a directory and all below it. REAL is the directory's path without links, FROM that of the directory where
# the last link led (or the walk began), CHAIN such pairs (FROM, REAL) of the places where links were followed.
deep() { # END CONTEXT DIRECTORY REST REAL CHAIN FROM
	if [ -n "$4" ]; then
		case $4 in
		# What lies beside it is noticed below.
		=*/* | [!=]*) walk "$1" "$2" "$3" "$4" ;;
		*) "end_$1" "$2" "${3%/}/${4#=}" ;;
		esac
		filter=d
	elif [ "$1" = root ]; then
		end_root "$2" "$3"
		filter=d
	else
		filter=a
	fi
	begin_listing "$3" "$filter" || return 0
	set -- "$1" "$2" "${3%/}" "$4" "$5" "$6" "$7" "$3" ''
	for path in "$3"/* "$3"/.[!.]* "$3"/..?*; do
		name=${path##*/}
		is_pattern "$name" "$path" "$8" && continue
		[ -n "$9" ] || set -- "$1" "$2" "$3" "$4" "$5" "$6" "$7" "$8" seen
		classify "$path" "$8"
		case $kind in
		d)
			tell "$name"
			"$2_excluded" "$path" && continue
			may_enter "$6" || continue
			deep "$1" "$2" "$path" "$4" "$5/$name" "$6" "$7"
			;;
		D)
			tell "$name"
			fact "$path"
			"$2_excluded" "$path" && continue
			leads_back "$6$7//$5//" "$real" && continue
			may_enter linked || continue
			deep "$1" "$2" "$path" "$4" "$real" "$6$7//$5//" "$real"
			;;
		f)
			if [ "$1$4" = file ]; then
				tell "$name"
				end_file "$2" "$path"
			elif notices "$1" "$2" "$4" "$name"; then
				tell "$name"
			fi
			;;
		'') ;;
		*)
			tell "$name"
			[ "$1$4" != file ] || end_file "$2" "$path"
			;;
		esac
	done
	end_listing "$8" "$9"
}

# Whether a directory is one of those that the walk came through.
leads_back() { # CHAIN REAL
	chain=$1
	while [ -n "$chain" ]; do
		from=${chain%%//*}
		chain=${chain#*//}
		to=${chain%%//*}
		chain=${chain#*//}
		case $to/ in
		"$2"/*) case $2/ in "$from"/*) return 0 ;; esac ;;
		esac
	done
	return 1
}

# Links can lead to more directories than there are: a bound for what lies behind them.
may_enter() { # LINKED
	[ -n "$1" ] || return 0
	linked=$((linked + 1))
	[ "$linked" -le "$linked_limit" ]
}

end_file() { # CONTEXT PATH
	if "$1_excluded" "$2" || ! "$1_wanted" "$2"; then
		fact "$2"
	elif ! is_named_file "$2"; then
		look "$2"
	fi
}

end_root() { # CONTEXT PATH
	case $queued in *"//$1:$2//"*) return ;; esac
	queued=$queued$1:$2//
	roots=$((roots + 1))
	eval "context_$roots=\$1 root_$roots=\$2"
}

# Looks at one file.
look() { # PATH
	if [ ! -f "$1" ]; then
		fact "$1"
	elif is_readable "$1"; then
		add "$1"
	else
		printf 'r%s\000Permission denied\000' "$1"
	fi
}

# ---- Detection

# Finds compose files and addon roots by name. PARENT is the root that a manifest here would speak for.
detect() { # DIRECTORY PARENT REAL CHAIN FROM TOP
	begin_listing "$1" c || return 0
	set -- "${1%/}" "$2" "$3" "$4" "$5" "$6" "$1" ''
	for path in "$1"/* "$1"/.[!.]* "$1"/..?*; do
		name=${path##*/}
		is_pattern "$name" "$path" "$7" && continue
		[ -n "$8" ] || set -- "$1" "$2" "$3" "$4" "$5" "$6" "$7" seen
		case $name in
		compose.y*ml | compose[.-]?*.y*ml | docker-compose.y*ml | docker-compose[.-]?*.y*ml)
			classify "$path" "$7"
			tell "$name"
			for context in $detect_files; do end_file "$context" "$path"; done
			[ -d "$path" ] || continue
			;;
		__manifest__.py | __openerp__.py)
			classify "$path" "$7"
			if [ "$kind" != d ]; then
				tell "$name"
				[ -z "$2" ] || for context in $detect_roots; do end_root "$context" "$2"; done
				continue
			fi
			;;
		.* | node_modules) continue ;;
		audit) [ -z "$6" ] || continue ;;
		esac
		classify "$path" "$7"
		case $kind in
		f | '') ;;
		d)
			tell "$name"
			may_enter "$4" || continue
			detect "$path" "$7" "$3/$name" "$4" "$5" ''
			;;
		D)
			tell "$name"
			fact "$path"
			leads_back "$4$5//$3//" "$real" && continue
			may_enter linked || continue
			detect "$path" "$7" "$real" "$4$5//$3//" "$real" ''
			;;
		*) tell "$name" ;;
		esac
	done
	end_listing "$7" "$8"
}

detect_in() { # CONTEXTS-OF-FILES CONTEXTS-OF-ROOTS DIRECTORY TOP
	detect_files=$1 detect_roots=$2
	if [ -d "$3" ]; then
		physical "$3"
		detect "$3" '' "$real" '' "$real" "$4"
	else
		fact "$3"
	fi
}

# A module that lies elsewhere than its root.
root_of() { # CONTEXT ROOT MODULE
	if has_manifest "$3"; then end_root "$1" "$2"; fi
}

# ---- Addon modules

look_into_roots() {
	root=0
	while [ "$root" -lt "$roots" ]; do
		root=$((root + 1))
		eval "candidates \"\$context_$root\" \"\$root_$root\""
	done
}

# Tells of the directories in an addon root, and looks into those that are modules.
candidates() { # CONTEXT ROOT
	begin_listing "$2" d || return 0
	set -- "$1" "${2%/}" "$2" ''
	for path in "$2"/* "$2"/.[!.]* "$2"/..?*; do
		name=${path##*/}
		is_pattern "$name" "$path" "$3" && continue
		[ -n "$4" ] || set -- "$1" "$2" "$3" seen
		classify "$path" "$3"
		[ "$kind" != f ] || continue
		tell "$name"
		case $name in .git | .hg | .svn) continue ;; esac
		case $kind in [dD]) candidate "$1" "$path" ;; esac
	done
	end_listing "$3" "$4"
}

# Looks into a directory that may be a module, unless that is not asked for or is done in any case.
candidate() { # CONTEXT PATH
	"$1_wanted_module" "$2" || return 0
	"$1_skipped_directory" "${2##*/}" && return
	is_named_module "$2" && return
	if [ -r "$2" ] && [ -x "$2" ] && ! has_manifest "$2"; then
		fact "$2"
		printf 'O%s\000' "$2"
	else
		module "$2" "$1"
	fi
}

has_manifest() { # MODULE
	is_no_directory "$1/__manifest__.py" || is_no_directory "$1/__openerp__.py"
}

is_no_directory() { # PATH
	[ -L "$1" ] || { [ -e "$1" ] && [ ! -d "$1" ]; }
}

# Tells of a module.
module() { # PATH CONTEXT
	if [ ! -d "$1" ]; then
		fact "$1"
		return
	fi
	physical "$1"
	case $lists_plainly$real in
	1*\\* | 1*"$newline"* | 1*"$return_key"*) ;;
	1/*)
		eval "plain_path_$plain_size=\$1 plain_context_$plain_size=\$2 plain_real_$plain_size=\$real"
		plain_names="$plain_names \"\$plain_real_$plain_size\""
		plain_size=$((plain_size + 1))
		[ "$plain_size" -lt 100 ] || flush_plain
		return
		;;
	esac
	module_by_names "$1" "$2"
}

# Tells of a module, whatever it holds.
module_by_names() { # PATH CONTEXT
	flush
	physical "$1"
	printf 'M'
	short "$1"
	repeatedly enter_module "$1" "$2"
	eval "entered_$entered=\$1"
	entered_names="$entered_names \"\$entered_$entered\""
	entered=$((entered + 1))
	[ "$entered" -lt 250 ] || verify_modules
}

# ---- Plain modules: they hold readable files and directories of usual names alone, so that find lists many at once

flush_plain() {
	[ "$plain_size" -eq 0 ] || eval "plain_names= plain_size=0; plain_modules $plain_names"
}

# Sets `list` to a line for each file and directory: kind, depth and path; a module where anything else is has a line
# of its own. Fails where find has met any error.
list_plainly() { # DIRECTORY...
	# The digests of a list without stats are twice as long as it is.
	most_list=2000000
	[ -z "$stats" ] || most_list=4000000
	list=$(find "$@" \( ! -type f ! -type d -o ! -readable -o -type d ! -executable \
		-o -name '*\\*' -o -name "*$newline*" -o -name "*$return_key*" -o -name __pycache__ \
		-o -name .git -o -name .hg -o -name .svn -o -name .DS_Store -o -name '*.swp' -o -name '*~' \) \
		-printf '!%H\n' -o -printf "%y%d$stats %p\n" 2>/dev/null) && [ "${#list}" -lt "$most_list" ]
}

# Sets `odd` to the modules in `list` that are not plain, a line each.
find_odd() {
	odd=
	case $newline$list in
	*"$newline!"*) odd=$newline$(printf '%s\n' "$list" | sed -n 's/^!//p')$newline ;;
	esac
}

# Tells of modules: of the plain ones at once, of others, and of all where that failed, by their names.
plain_modules() { # DIRECTORY...
	odd=all
	! list_plainly "$@" || find_odd
	number=0 plain='' others=''
	for directory; do
		shift
		case $odd in
		all | *"$newline$directory$newline"*) others="$others $number" ;;
		*)
			plain="$plain $number"
			set -- "$@" "$directory"
			;;
		esac
		number=$((number + 1))
	done
	if [ -n "$plain" ]; then
		tell_plain "$@" || others="$others $plain"
	fi
	for number in $others; do
		eval "module_by_names \"\$plain_path_$number\" \"\$plain_context_$number\""
	done
}

# Tells of the modules whose numbers are in `plain`; fails where anything in them has moved or cannot be read.
tell_plain() { # DIRECTORY...
	if [ -n "$odd" ]; then
		list_plainly "$@" || return 1
		find_odd
		[ -z "$odd" ] || return 1
	fi
	for number in $plain; do
		eval "path=\$plain_path_$number real=\$plain_real_$number"
		printf W
		short "$path"
	done
	printf 'N%s\000' "$list"
	if [ -n "$recalls" ]; then
		printf '\000s\000'
		return 0
	fi
	# shellcheck disable=SC2086 # words are what it is
	printf '%s\n' "$list" | sed -n 's/^f[^ ]* //p' | tr '\n' '\000' | xargs -0 $fast_hasher 2>/dev/null
	set -- "$?" "$@"
	if [ "$1" -eq 0 ] && [ -n "$stats" ]; then
		shift
		if stands_still "$@"; then set -- =; else set -- 0; fi
	fi
	printf '\000%s\000' "$1"
	case $1 in = | 0) return 0 ;; esac
	return "$1"
}

# Whether the directories that were listed last are what they were.
stands_still() { # DIRECTORY...
	before=$list
	list_plainly "$@" && [ "$list" = "$before" ]
}

# Tells all that a module holds by a command that enters it; again when something in it vanished meanwhile.
repeatedly() { # COMMAND ARGUMENT...
	attempt=1
	while "$@"; [ -n "$again" ]; do
		attempt=$((attempt + 1))
		if [ "$attempt" -gt "$attempts" ]; then
			printf 'v\000'
			break
		fi
		printf 'a\000'
	done
	printf 'm\000'
}

enter_module() { # PATH CONTEXT
	again=
	module=${1##*/}
	if [ ! -r "$1" ]; then
		reason -a "$1"
		[ -z "$why" ] || {
			printf 'U%s\000' "$why"
			return
		}
	fi
	if cd -- "$1" 2>/dev/null; then
		inside '' "$2"
		peek
		flush
	else
		names_only "$1"
	fi
}

# A directory that may be read and not be entered gives names alone.
names_only() { # MODULE
	for path in "$1"/* "$1"/.[!.]* "$1"/..?*; do
		name=${path##*/}
		is_pattern "$name" "$path" "$1" || printf 'r%s\000Permission denied\000' "$name"
	done
}

# Tells what one directory of a module holds; the working directory is the module's.
inside() { # PREFIX CONTEXT
	set -- "$1" "$2" ''
	for path in "$1"* "$1".[!.]* "$1"..?*; do
		name=${path##*/}
		is_pattern "$name" "$path" "./$1" && continue
		[ -n "$3" ] || set -- "$1" "$2" seen
		cached=
		case $path in
		.git | */.git | .hg | */.hg | .svn | */.svn)
			printf 'k%s\000' "$path"
			continue
			;;
		esac
		case /$1 in */__pycache__/) written_by_python "$1" ;; esac
		if [ -L "$path" ]; then
			is_left_out "$2" || link "$path"
		elif [ -d "$path" ]; then
			if "$2_skipped_directory" "$module/$path"; then
				printf 'y%s\000' "$path"
			else
				printf 'e%s\000' "$path"
				enter "$path" "$2"
			fi
		elif is_left_out "$2"; then
			:
		elif [ -f "$path" ]; then
			if ! is_readable "$path"; then
				printf 'r%s\000Permission denied\000' "$path"
			else
				case $cached in
				imported) bytecode "$path" ;;
				other) printf 'j%s\000' "$path" ;;
				*) add "$path" ;;
				esac
			fi
		elif [ -p "$path" ]; then
			printf 'p%s\000' "$path"
		elif [ -S "$path" ]; then
			printf 's%s\000' "$path"
		elif [ -b "$path" ] || [ -c "$path" ]; then
			printf 'c%s\000' "$path"
		else
			unknown "$path" "${1:-.}"
		fi
	done
	[ -n "$3" ] || {
		unlisted "./$1"
		[ -z "$why" ] || printf 'u%s\000%s\000' "$1" "$why"
	}
}

# Sets `cached` where the file `name` is left out, as Python may write it at any time: imported, or other while it is
# about to be renamed. The client's rule is that of find, in whose expression nothing above may hold a line feed.
written_by_python() { # PREFIX
	case ${1%__pycache__/} in *"$newline"*) return ;; esac
	case $name in
	*.pyc) cached=imported ;;
	*.pyc.*[!0-9]*) ;;
	*.pyc.*) [ -z "${name##*.}" ] || cached=other ;;
	esac
}

enter() { # DIRECTORY CONTEXT
	if [ ! -r "$1" ]; then
		reason -a "./$1"
		[ -z "$why" ] || {
			printf 'u%s/\000%s\000' "$1" "$why"
			return
		}
	fi
	inside "$1/" "$2"
}

# Whether the entry `path` does not count whatever it is, so that nobody needs to read it.
is_left_out() { # CONTEXT
	case $path in
	__manifest__.py | __openerp__.py) return 1 ;;
	# Where the directory may not be entered, such a name may be a directory's.
	.DS_Store | */.DS_Store | *.swp | *\~) [ -e "$path" ] || [ -L "$path" ] || return 1 ;;
	*) "$1_skipped" "$module/$path" || return 1 ;;
	esac
	printf 'j%s\000' "$path"
}

# Tells of an entry that no test knows: its name is too long a path, its directory may not be entered, or it is gone.
unknown() { # PATH DIRECTORY
	if [ "${#1}" -ge 4096 ]; then
		printf 'r%s\000File name too long\000' "$1"
	elif [ ! -x "$2" ]; then
		case ${1##*/} in
		# As a file it would be left out unseen, and it may be a directory.
		.DS_Store | *.swp | *\~ | *.pyc.*) printf 'e%s\000u%s/\000Permission denied\000' "$1" "$1" ;;
		*) printf 'r%s\000Permission denied\000' "$1" ;;
		esac
	elif [ -e "$1" ]; then
		printf 'o%s\000' "$1"
	else
		reason -d "./$1"
		case $why in
		'No such file or directory') again=1 ;;
		*) printf 'r%s\000%s\000' "$1" "$why" ;;
		esac
	fi
}

link() { # PATH
	found=$(readlink -n -- "$1" | digest)
	if [ "${#found}" -lt 64 ]; then
		printf 'r%s\000its target cannot be hashed\000' "$1"
		return
	fi
	case $found in
	# No link has an empty target: this is what a failing readlink leaves.
	e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855*)
		if [ -L "$1" ]; then printf 'r%s\000its target cannot be read\000' "$1"; else again=1; fi
		;;
	*) printf 't%.64s%s\000' "$found" "$1" ;;
	esac
}

# ---- Bytecode: of most only the first 16 bytes are told; names wait in `heads`, quoted for the shell

bytecode() { # FILE
	case $1 in
	-*) set -- "./$1" ;;
	esac
	eval "head_$heads_size=\$1"
	heads="$heads \"\$head_$heads_size\""
	heads_size=$((heads_size + 1))
	[ "$heads_size" -lt 250 ] || peek
}

peek() {
	[ "$heads_size" -eq 0 ] || eval "heads= heads_size=0; peek_all $heads"
}

hexadecimal() { od -An -v -tx1 | tr -d ' \t\n'; }

# No file gives more than 16 bytes, so all of them have them where there are so many.
peek_all() { # FILE...
	told_heads=$({ head -q -c 16 -- "$@" | hexadecimal; } 2>/dev/null)
	if [ "${#told_heads}" -ne $(($# * 32)) ]; then
		for file; do peek_one "$file"; done
		return
	fi
	for file; do
		set -- "$file" "${told_heads#????????????????????????????????}"
		tell_head "$1" "${told_heads%"$2"}"
		told_heads=$2
	done
}

# Seventeen dots follow the bytes where reading them did not fail: without them there are never so many.
peek_one() { # FILE
	found=$({ { head -c 16 && printf .................; } <"$1" | hexadecimal; } 2>/dev/null)
	if [ "${#found}" -eq 66 ]; then
		tell_head "$1" "${found%??????????????????????????????????}"
	elif [ "${#found}" -ge 34 ]; then
		printf 'n%s\000' "$1"
		[ -z "$all_bytecode" ] || add "$1"
	elif [ -f "$1" ]; then
		printf 'r%s\000its first bytes cannot be read: head, od and tr are needed on the server\000' "$1"
	else
		again=1
	fi
}

# Tells how a file begins, and hashes it where that or its name may make it count.
tell_head() { # FILE HEXADECIMAL
	printf 'b%s%s\000' "$2" "$1"
	case $all_bytecode$2 in
	1*) add "$1" ;;
	????0d0a?[159d]*) add "$1" ;;
	????0d0a*) has_source "$1" || add "$1" ;;
	esac
}

# Whether the source of bytecode is surely there.
has_source() { # FILE
	name=${1##*/} above=${1%/*}
	case $name in
	?*.*.pyc) ;;
	*) return 1 ;;
	esac
	case $above in
	*/*) above=${above%/*}/ ;;
	*) above= ;;
	esac
	[ -f "$above${name%%.*}.py" ]
}

# ---- Hashing: names wait in `batch`, quoted for the shell

# Whether a file can be opened; -r is asked first because it says nothing when it fails, and some shells take it
# from the mode alone.
is_readable() { # FILE
	[ -r "$1" ] || { :; } 2>/dev/null <"$1"
}

add() { # FILE
	case $1 in
	-*) set -- "./$1" ;;
	esac
	case $1 in
	# The programs write these in ways of their own.
	*\\* | *"$newline"* | *"$return_key"*)
		single "$1"
		return
		;;
	*\'*)
		eval "odd_$batch_size=\$1"
		batch="$batch \"\$odd_$batch_size\""
		;;
	*) batch="$batch '$1'" ;;
	esac
	batch_size=$((batch_size + 1))
	if [ "$batch_size" -ge 250 ] || [ "${#batch}" -ge 60000 ]; then flush; fi
}

flush() {
	[ "$batch_size" -eq 0 ] || eval "batch= batch_size=0; digest_all $batch"
}

digest_all() { # FILE...
	printf 'H%s\000' "$#"
	if [ "$#" -lt 20 ]; then digest "$@"; else $fast_hasher "$@"; fi 2>/dev/null
	set -- "$?" "$@"
	printf '\000%s\000' "$1"
	[ "$1" -ne 0 ] || return 0
	shift
	for file; do single "$file"; done
}

single() { # FILE
	if found=$({ digest <"$1"; } 2>/dev/null) && [ "${#found}" -ge 64 ]; then
		printf 'h%.64s%s\000' "$found" "$1"
	elif [ -f "$1" ]; then
		found=$({ digest <"$1"; } 2>&1)
		printf 'r%s\000%s\000' "$1" "${found##*: }"
	else
		# Inside a module it is looked for again; elsewhere it is told what came in its place.
		again=1
		case $1 in /*) fact "$1" ;; esac
	fi
}
