# Gives a file's bytes, with how many they are and their digest ahead; what is no file that can be read is left to be
# looked at.
give() { # LIMIT PATH
	if [ ! -f "$2" ] || ! is_readable "$2"; then
		printf 'N\000'
		return
	fi
	size=$(wc -c <"$2") || size=
	if [ "${size:-0}" -gt "$1" ]; then
		printf 'L%s\000' "$((size))"
		return
	fi
	found=$({ digest <"$2"; } 2>/dev/null)
	if [ -z "$size" ] || [ "${#found}" -lt 64 ]; then
		printf 'N\000'
		return
	fi
	printf 'C%s %.64s\000' "$((size))" "$found"
	cat <"$2"
	printf '\000'
}
