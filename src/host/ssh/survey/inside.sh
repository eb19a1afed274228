# Tells what a container has. Links are followed as its processes follow them, and nothing that lies outside is read: what was
# opened must lie on a mount that this process does not have.

own_mounts=
know_mounts() {
	own_mounts=' '
	while read -r mount rest; do own_mounts="$own_mounts$mount "; done </proc/self/mountinfo
}

# Whether a process is the one that began at that time.
is_process() { # PID START
	line=
	{ read -r line <"/proc/$1/stat"; } 2>/dev/null
	# shellcheck disable=SC2086 # it is words
	set -- "$2" ${line##*) }
	[ "$#" -gt 20 ] || return 1
	start=$1
	shift 20
	[ "$1" = "$start" ]
}

# Whether what is open as 3 is the container's.
is_held() {
	mount=
	while read -r key value; do
		case $key in mnt_id:) mount=$value ;; esac
	done </proc/self/fdinfo/3
	case "$own_mounts|$mount" in
	*" $mount "*'|'* | *'|') return 1 ;;
	esac
}

# Finds what is at a path of the container: at `place`, or tells why there is nothing to read.
find_held() { # ROOT PATH
	lead "$1" "${2%/*}"
	if [ "$state" = + ] && [ -L "$1$end/${2##*/}" ]; then broken=1; else broken=; fi
	lead "$1" "$2"
	place=$1$end
	case $state$broken in
	+*) return 0 ;;
	-1) printf 'F%s\000lNo such file or directory\000' "$2" ;;
	-) printf 'F%s\000g\000' "$2" ;;
	*) printf 'F%s\000u%s\000' "$2" "$state" ;;
	esac
	return 1
}

# Tells what is there that is neither a file nor a directory.
held_kind() { # PATH
	if [ -p "$place" ]; then
		kind=p
	elif [ -S "$place" ]; then
		kind=s
	elif [ -b "$place" ] || [ -c "$place" ]; then
		kind=c
	else
		kind=\?
	fi
	printf 'F%s\000%s\000' "$1" "$kind"
}

held_file() { # ROOT PATH
	find_held "$1" "$2" || return 0
	if [ -d "$place" ]; then
		printf 'F%s\000d%s\000' "$2" "$2"
	elif [ ! -f "$place" ]; then
		held_kind "$2"
	elif ! is_readable "$place"; then
		printf 'r%s\000Permission denied\000' "$2"
	else
		found=
		{ { ! is_held || found=$(digest <&3); } 3<"$place"; } 2>/dev/null
		if [ "${#found}" -ge 64 ]; then
			printf 'h%.64s%s\000' "$found" "$2"
		else
			printf 'r%s\000it changed while it was read, or does not lie in the container\000' "$2"
		fi
	fi
}

held_module() { # ROOT PATH
	find_held "$1" "$2" || return 0
	if [ -f "$place" ]; then
		printf 'F%s\000f\000' "$2"
	elif [ ! -d "$place" ]; then
		held_kind "$2"
	else
		printf 'M%s\000\000' "$2"
		repeatedly enter_held "$place"
	fi
}

# shellcheck disable=SC2317 # called by what tells of modules
whole_skipped() { return 1; }
# shellcheck disable=SC2317
whole_skipped_directory() { return 1; }

enter_held() { # PLACE
	again=
	module=${1##*/}
	if ! cd -- "$1" 2>/dev/null || ! { is_held; } 3<. 2>/dev/null; then
		printf 'Uit cannot be entered in the container\000'
		cd /
		return
	fi
	inside '' whole
	peek
	flush
	names=$(ls -aR . 2>&1 >/dev/null) || {
		without_rights "$names"
		[ -z "$why" ] || printf 'u\000%s\000' "$why"
	}
	cd /
}

# ---- All that lies at a path

# Sets `kind` of a directory's entry as classify does, links followed in the container.
held_entry() { # ROOT PATH PLACE
	held=$3
	if [ -L "$3" ]; then
		lead "$1" "$2"
		held=$1$end
		case $state in
		+) if [ -d "$held" ]; then kind=D; else kind=l; fi ;;
		-) kind=x why='No such file or directory' ;;
		*) kind=x why=$state ;;
		esac
	elif [ -d "$3" ]; then
		kind=d
	elif [ -e "$3" ]; then
		kind=f
	elif [ ! -x "${3%/*}" ]; then
		kind=\?
	else
		kind=
	fi
}

begin_held() { # PATH PLACE FILTER
	printf 'L%s\000\000%s\000' "$1" "$3"
	[ ! -r "$2" ] || return 0
	printf '!Permission denied\000'
	return 1
}

end_held() { # PLACE
	names=$(ls -a -- "$1" 2>&1 >/dev/null) && why= || why=${names##*: }
	if [ -z "$why" ]; then printf '.\000'; else printf '!%s\000' "$why"; fi
}

# Tells of the directories at a path, and of all that those hold which are modules.
held_root() { # ROOT PATH
	find_held "$1" "$2" || return 0
	if [ ! -d "$place" ]; then
		held_kind "$2"
		return
	fi
	set -- "$1" "$2" "$place"
	begin_held "$2" "$3" d || return 0
	for path in "$3"/* "$3"/.[!.]* "$3"/..?*; do
		name=${path##*/}
		is_pattern "$name" "$path" "$3" && continue
		held_entry "$1" "$2/$name" "$path"
		[ "$kind" != f ] || continue
		tell "$name"
		case $name in .git | .hg | .svn) continue ;; esac
		case $kind in [dD]) ;; *) continue ;; esac
		is_named_module "$2/$name" && continue
		if [ -r "$held" ] && [ -x "$held" ] && ! has_manifest "$held"; then
			printf 'F%s\000d%s\000O%s\000' "$2/$name" "$2/$name" "$2/$name"
		else
			held_module "$1" "$2/$name"
		fi
	done
	end_held "$3"
}

# Tells of all files at a path and below.
held_tree() { # ROOT PATH
	find_held "$1" "$2" || return 0
	if [ -d "$place" ]; then held_deep "$1" "$2" "$place"; else held_file "$1" "$2"; fi
}

held_deep() { # ROOT PATH PLACE
	begin_held "$2" "$3" a || return 0
	for path in "$3"/* "$3"/.[!.]* "$3"/..?*; do
		name=${path##*/}
		is_pattern "$name" "$path" "$3" && continue
		held_entry "$1" "$2/$name" "$path"
		tell "$name"
		case $kind in
		d) held_deep "$1" "$2/$name" "$3/$name" ;;
		[fl]) is_named_file "$2/$name" || held_file "$1" "$2/$name" ;;
		esac
	done
	end_held "$3"
}
