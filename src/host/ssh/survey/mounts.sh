# Tells what this machine and its containers have mounted, and where paths lead; what is the same is judged by the client.

# Sets `end` to where a path leads below a root directory, which is empty for that of this machine. Links are followed as a
# process with that root follows them. `state` is + where something is there, - where nothing is, else the reason.
lead() { # ROOT PATH
	end='' state=+ links=0
	set -- "$1" "$2"
	while :; do
		while :; do
			case $2 in
			/*) set -- "$1" "${2#/}" ;;
			*) break ;;
			esac
		done
		[ -n "$2" ] || return 0
		part=${2%%/*}
		case $2 in
		*/*) set -- "$1" "${2#*/}" ;;
		*) set -- "$1" '' ;;
		esac
		case $part in
		.) continue ;;
		..)
			end=${end%/*}
			continue
			;;
		esac
		if [ -L "$1$end/$part" ]; then
			links=$((links + 1))
			if [ "$links" -gt 40 ]; then
				state=-
				return
			fi
			# The point keeps line ends at the end of a target.
			if ! target=$(readlink -n "$1$end/$part" 2>/dev/null && printf .); then
				state='a link could not be read'
				return
			fi
			target=${target%.}
			case $target in
			/*) end= ;;
			esac
			set -- "$1" "$target/$2"
		elif [ -e "$1$end/$part" ]; then
			end=$end/$part
			[ -z "$2" ] || [ -d "$1$end" ] || {
				state=-
				return
			}
		elif [ -x "$1${end:-/}" ]; then
			state=-
			return
		else
			state='Permission denied'
			return
		fi
	done
}

# Tells where a path leads, with device and inode where they are wanted and can be had.
tell_end() { # WANTED ROOT PATH
	lead "$2" "$3"
	inode=
	if [ "$1$state" = i+ ]; then
		inode=$(stat -c '%d %i' "$2${end:-/}" 2>/dev/null) || inode=
	fi
	printf 'p%s\000%s\000%s\000' "$state" "${end:-/}" "$inode"
}

# A container that is gone has no root to look into.
tell_inside() { # PID PATH
	if [ -d "/proc/$1/root/" ]; then
		tell_end i "/proc/$1/root" "$2"
	else
		printf 'pits process ended\000/\000\000'
	fi
}

tell_mounts() {
	printf 't'
	cat /proc/self/mountinfo 2>/dev/null
	printf '\000'
}

# Tells of the first process of a container and of all others of its control group. Nothing is started in it.
tell_container() { # ID PID MERGED
	printf 'c'
	for file in stat cgroup mountinfo; do
		cat "/proc/$2/$file" 2>/dev/null
		printf '\000'
	done
	root=-
	if [ / -ef / ] 2>/dev/null && [ -d "/proc/$2/root/" ]; then
		root=+
		if [ -n "$3" ] && [ -d "$3" ]; then
			if [ "/proc/$2/root/" -ef "$3" ]; then root=y; else root=n; fi
		fi
	fi
	printf '%s\000' "$root"
	if [ "$root" != - ]; then
		for file in $(grep -l -s -F -e "$1" /proc/[0-9]*/cgroup 2>/dev/null); do
			process=${file%/cgroup}
			member=${process#/proc/}
			if [ ! -e "$process/ns/mnt" ] || [ ! -d "$process/root/" ]; then
				if [ -d "$process" ] && [ -n "$(cat "$process/mountinfo" 2>/dev/null)" ]; then letter=u; else letter=g; fi
			elif [ ! "$process/ns/mnt" -ef "/proc/$2/ns/mnt" ]; then
				letter=n
			elif [ ! "$process/root/" -ef "/proc/$2/root/" ]; then
				letter=r
			else
				letter=s
			fi
			case $letter in
			[nr]) [ -d "$process/root/" ] || letter=g ;;
			esac
			printf '%s%s ' "$member" "$letter"
		done
	fi
	printf '\000'
	cat "/proc/$2/stat" 2>/dev/null
	printf '\000'
}

# Tells when files last changed, in seconds since 1970.
tell_changed() { # FILE...
	times=$(stat -L -c %Z -- "$@" 2>/dev/null) || {
		times=
		for path; do
			time=$(stat -L -c %Z -- "$path" 2>/dev/null) || time=-
			times="$times$time "
		done
	}
	printf 'k%s\000' "$times"
}
