# Tells what the system has beside files of the project. A record is a name, a text, and how it ended: 0 whole, x refused with
# the text as the reason, r and the most bytes that are taken: the output of a program in hex, with = and its exit code
# among it.

unset -f env grep md5sum rpm sha1sum systemctl timeout
# Where programs of the system lie.
system_path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# Sets `why` to the reason that cat or ls gives for not reading a path.
unread() { # PROGRAM PATH
	if why=$("$1" -- "$2" 2>&1 >/dev/null); then why='it is no regular file'; else why=${why##*: }; fi
}

matching_lines() { # PATH LINES
	if [ -n "$2" ]; then
		grep -aE -- "$2" "$1"
		[ $? -le 1 ]
	else
		cat -- "$1"
	fi
}

system_file() { # NAME PATH LINES
	printf 'S%s\000' "$1"
	if [ -f "$2" ] && [ -r "$2" ]; then
		# A zero byte would end the record, and what follows it would be lost.
		if [ -n "$(tr -dc '\000' <"$2" 2>/dev/null | tr '\000' 0 | head -c 1)" ]; then
			printf '%s\000x\000' 'it holds a zero byte, which no such file has'
			return
		fi
		if matching_lines "$2" "$3" 2>/dev/null; then printf '\000%s\000' 0; else printf '\000%s\000' e; fi
	else
		if [ -e "$2" ] && [ ! -f "$2" ]; then why='it is no regular file'; else unread cat "$2"; fi
		printf '%s\000x\000' "$why"
	fi
}

system_list() { # NAME PATH
	printf 'S%s\000' "$1"
	if names=$(ls -A -- "$2" 2>/dev/null); then
		printf '%s\000%s\000' "$names" 0
	else
		unread ls "$2"
		printf '%s\000x\000' "$why"
	fi
}

system_search() { # NAME DIR SUFFIX TEXT...
	printf 'S%s\000' "$1"
	dir=$2 suffix=$3
	shift 3
	if ! ls -- "$dir" >/dev/null 2>&1; then
		unread ls "$dir"
		printf '%s\000x\000' "$why"
		return
	fi
	for text; do
		shift
		set -- "$@" -e "$text"
	done
	for file in "$dir"/*"${suffix#/}"; do [ -e "$file" ] && break; done
	if [ ! -e "$file" ]; then
		printf '\000%s\000' 0
		return
	fi
	# Zero bytes would end the record: no name that is searched for has one.
	{
		code=$({
			{
				grep -aF "$@" -- "$dir"/*"${suffix#/}" /dev/null 2>/dev/null
				echo $? >&4
			} | tr '\000' '?' >&3
		} 4>&1)
	} 3>&1
	if [ "${code:-2}" -le 1 ]; then printf '\000%s\000' 0; else printf '\000%s\000' e; fi
}

system_sums() { # NAME PATH
	printf 'S%s\000' "$1"
	if [ -f "$2" ] && [ -r "$2" ]; then
		for sum in md5 sha1; do
			if command -v "${sum}sum" >/dev/null 2>&1; then
				digest=$("${sum}sum" <"$2" 2>/dev/null)
			else
				digest=$(openssl dgst "-$sum" -r <"$2" 2>/dev/null)
			fi
			printf '%s %s\n' "$sum" "${digest%% *}"
		done
		printf '\000%s\000' 0
	else
		if [ -e "$2" ] && [ ! -f "$2" ]; then why='it is no regular file'; else unread cat "$2"; fi
		printf '%s\000x\000' "$why"
	fi
}

system_owners() { # NAME
	printf 'S%s\000' "$1"
	{
		ls -l /proc/[0-9]*/fd 2>&1 | grep -E '^/proc/|^ls: | -> socket:'
		grep -s '' /proc/[0-9]*/comm /dev/null
	} | tr -d '\000'
	printf '\000%s\000' 0
}

system_run() { # NAME SECONDS BYTES PROGRAM ARGUMENT...
	printf 'S%s\000' "$1"
	for program in timeout head od env; do
		command -v "$program" >/dev/null 2>&1 || {
			printf '%s is not installed on the server\000x\000' "$program"
			return
		}
	done
	(PATH=$system_path && command -v "$4") >/dev/null 2>&1 || {
		printf 'No such file or directory\000x\000'
		return
	}
	seconds=$2 bytes=$3
	shift 3
	# The program's end is told beside its output, and nothing that it leaves behind holds anything but that output.
	(
		cd /
		{
			{
				{
					timeout -s KILL "$seconds" env -i HOME=/ LC_ALL=C PATH="$system_path" "$@" 3>&- </dev/null 2>/dev/null
					echo "=$?" >&3
				} | timeout -s KILL "$((seconds + 2))" head -c "$bytes" 3>&- || echo '!' >&3
			} | od -An -v -tx1 3>&-
		} 3>&1
	) 2>/dev/null
	printf '\000r%s\000' "$bytes"
}
