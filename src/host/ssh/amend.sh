# Looks at single files and changes them: each through directories that the shell stands in, each the old or the new one.
LC_ALL=C; export LC_ALL; umask 077; PATH=$PATH:/usr/bin:/bin:/usr/sbin:/sbin; export PATH
no() { printf '%s x %s\n' "$item" "$1"; exit 0; }
sum() { { if command -v sha256sum >/dev/null 2>&1; then sha256sum; else openssl dgst -sha256 -r; fi; } 2>/dev/null | cut -c1-64; }
to64() { if command -v base64 >/dev/null 2>&1; then base64; else openssl base64; fi; }
from64() { if command -v base64 >/dev/null 2>&1; then base64 -d; else openssl base64 -d; fi; }
# Goes to the base, whatever leads there.
base() { cd -P -- "$1" 2>/dev/null || no base; at=$(pwd -P); }
# Goes into a directory that is none by way of a link; $makes says whether it is made.
down() {
  if [ -L "./$1" ]; then no "dir $step"; fi
  if [ ! -d "./$1" ]; then
    if [ -e "./$1" ]; then no "dir $step"; fi
    if [ "$makes" = 0 ]; then printf '%s n\n' "$item"; exit 0; fi
    mkdir -m 755 -- "./$1" 2>/dev/null || no denied
    chown "$(stat -c '%u:%g' .)" "./$1" 2>/dev/null
  fi
  cd -P -- "./$1" 2>/dev/null || no denied
  want=${at%/}/$1; at=$(pwd -P)
  if [ "$at" != "$want" ]; then no "dir $step"; fi
  step=$((step + 1))
}
# What stands under a name: $kind, and of a file $mode $names $uid $gid $size.
see() {
  if [ -L "./$1" ]; then kind=l; digest=$(readlink -n -- "./$1" | sum); return; fi
  if [ ! -e "./$1" ]; then kind=n; digest=; return; fi
  if [ ! -f "./$1" ]; then no file; fi
  kind=f
  told=$(stat -c '%a %h %u %g %s' -- "./$1" 2>/dev/null) || no stat
  set -- "$1" $told
  mode=$2 names=$3 uid=$4 gid=$5 size=$6
  if [ "$names" != 1 ]; then no "names $names"; fi
  if [ "$size" -gt "$largest" ]; then no "large $size"; fi
  if [ ! -r "./$1" ]; then no denied; fi
  digest=$(sum < "./$1")
}
tell() {
  see "$1"
  case $kind in
    n) printf '%s n\n' "$item" ;;
    l) printf '%s l\n' "$item"; readlink -n -- "./$1" | to64; echo . ;;
    f) printf '%s f %s %s %s\n' "$item" "$mode" "$uid" "$gid"; to64 < "./$1"; echo . ;;
  esac
}
still() { see "$1"; if [ "$kind$digest" != "$2" ]; then no moved; fi; }
sweep() { find . -maxdepth 1 -name '.driftlock-tmp-??????' -mmin +60 -exec rm -f -- {} + 2>/dev/null; }
place() {
  still "$1" "$2"
  if [ -d "./$1" ] && [ ! -L "./$1" ]; then no file; fi
  if mv -f -- "$new" "./$1" 2>/dev/null; then printf '%s ok\n' "$item"; else no denied; fi
}
# name, state before, mode, owner or nothing, digest; the content on standard input.
put() {
  sweep; still "$1" "$2"
  new=$(mktemp ./.driftlock-tmp-XXXXXX 2>/dev/null) || no denied
  trap 'rm -f -- "$new"' EXIT
  trap 'exit 1' HUP INT TERM PIPE
  from64 > "$new" 2>/dev/null || no full
  if [ "$(sum < "$new")" != "$5" ]; then no full; fi
  if [ -n "$4" ]; then
    if [ "$(stat -c '%u:%g' "$new")" != "$4" ]; then chown "$4" "$new" 2>/dev/null || no owner; fi
  else
    chown "$(stat -c '%u:%g' .)" "$new" 2>/dev/null
  fi
  chmod "$3" "$new" || no denied
  if [ -f "./$1" ] && [ ! -L "./$1" ]; then chcon "--reference=./$1" "$new" 2>/dev/null; fi
  sync "$new" 2>/dev/null
  place "$1" "$2"
}
# name, state before, text.
link() {
  sweep; still "$1" "$2"
  new=$(mktemp -u ./.driftlock-tmp-XXXXXX 2>/dev/null) || no denied
  trap 'rm -f -- "$new"' EXIT
  ln -s -- "$3" "$new" 2>/dev/null || no denied
  place "$1" "$2"
}
# name, state before, names of the directories that may go, from the innermost.
gone() {
  if [ "$2" = n ] && [ ! -e "./$1" ] && [ ! -L "./$1" ]; then printf '%s ok\n' "$item"; exit 0; fi
  still "$1" "$2"
  rm -f -- "./$1" 2>/dev/null || no denied
  if [ -e "./$1" ] || [ -L "./$1" ]; then no denied; fi
  shift 2
  for dir in "$@"; do
    cd .. 2>/dev/null || break
    rmdir -- "./$dir" 2>/dev/null || break
  done
  printf '%s ok\n' "$item"
}
