# Looks at single files and changes them: each through directories that the shell stands in, each the old or the new one. Other users
# may write in those: no name in them is given to a program that changes what the name leads to.
LC_ALL=C; export LC_ALL; umask 077; PATH=$PATH:/usr/bin:/bin:/usr/sbin:/sbin; export PATH; from=.
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
    private
    mkdir -m 755 ./f 2>/dev/null || no denied
    chown -h -- "$(stat -c '%u:%g' ..)" ./f 2>/dev/null
    if ! mv -fT -- ./f "../$1" 2>/dev/null && { [ -L "../$1" ] || [ ! -d "../$1" ]; }; then no denied; fi
    leave; trap - EXIT
  fi
  cd -P -- "./$1" 2>/dev/null || no denied
  want=${at%/}/$1; at=$(pwd -P)
  if [ "$at" != "$want" ]; then no "dir $step"; fi
  step=$((step + 1))
}
# What stands under a name in $from: $kind, and of a file $mode $names $uid $gid $size.
see() {
  if [ -L "$from/$1" ]; then kind=l; digest=$(readlink -n -- "$from/$1" | sum); return; fi
  if [ ! -e "$from/$1" ]; then kind=n; digest=; return; fi
  if [ ! -f "$from/$1" ]; then no file; fi
  kind=f
  told=$(stat -c '%a %h %u %g %s' -- "$from/$1" 2>/dev/null) || no stat
  set -- "$1" $told
  mode=$2 names=$3 uid=$4 gid=$5 size=$6
  if [ "$names" != 1 ]; then no "names $names"; fi
  if [ "$size" -gt "$largest" ]; then no "large $size"; fi
  if [ ! -r "$from/$1" ]; then no denied; fi
  digest=$(sum < "$from/$1")
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
# Goes into a directory that belongs to this user alone and lies in $outer: whoever may write around it swaps nothing in it.
enter() {
  cd -P -- "$1" 2>/dev/null || return 1
  case "$(stat -c '%u %a' . 2>/dev/null) $(stat -c '%d:%i' .. 2>/dev/null)" in
    "$me 700 $outer" | "$me 2700 $outer") ;;
    *) return 1 ;;
  esac
}
# Makes such a directory and goes into it: what is made is made as ./f in there, and leaves it by one rename.
private() {
  me=$(id -u); outer=$(stat -c '%d:%i' . 2>/dev/null) || no stat
  own=$(mktemp -d ./.driftlock-tmp-XXXXXX 2>/dev/null) || no denied
  (enter "$own") || { rmdir -- "$own" 2>/dev/null; no private; }
  enter "$own" || no moved
  from=..
  trap leave EXIT
  trap 'exit 1' HUP INT TERM PIPE
}
clear() { rm -f -- ./f ./g; rmdir -- ./f ./g; } 2>/dev/null
leave() { clear; cd -P -- .. && rmdir -- "$own"; from=.; } 2>/dev/null
# Takes away what the dead left here.
sweep() {
  me=$(id -u); outer=$(stat -c '%d:%i' . 2>/dev/null)
  for old in ./.driftlock-tmp-??????; do
    if [ -z "$(find "$old" -prune -mmin +60 2>/dev/null)" ]; then continue; fi
    if [ -d "$old" ] && [ ! -L "$old" ]; then
      (enter "$old" && clear)
      rmdir -- "$old" 2>/dev/null
    else
      rm -f -- "$old" 2>/dev/null
    fi
  done
}
# Renames what was made to a name around the private directory; -T has a link replaced itself, also one that leads to a directory.
move() {
  mv -fT -- ./f ./g 2>/dev/null || { if mv -f -- ./f ./g 2>/dev/null; then no mv; else no full; fi; }
  if mv -fT -- ./g "../$1" 2>/dev/null; then return; fi
  # Busybox follows it to say no.
  if [ ! -L "../$1" ] || [ ! -d "../$1" ]; then no denied; fi
  # The link goes aside, and comes back where that does not help.
  mv -fT -- "../$1" ./l 2>/dev/null || no denied
  if mv -fT -- ./g "../$1" 2>/dev/null; then rm -f -- ./l; return; fi
  mv -fT -- ./l "../$1" 2>/dev/null
  no denied
}
# name, state before, mode, owner or nothing, digest; the content on standard input.
put() {
  sweep; still "$1" "$2"; private
  from64 > ./f 2>/dev/null || no full
  if [ "$(sum < ./f)" != "$5" ]; then no full; fi
  if [ -n "$4" ]; then
    if [ "$(stat -c '%u:%g' ./f)" != "$4" ]; then chown -h -- "$4" ./f 2>/dev/null || no owner; fi
  else
    chown -h -- "$(stat -c '%u:%g' ..)" ./f 2>/dev/null
  fi
  if [ -f "../$1" ] && [ ! -L "../$1" ]; then
    chcon "--reference=../$1" ./f 2>/dev/null
    if list=$(getfacl -c -n -s -- "../$1" 2>/dev/null) && [ -n "$list" ]; then
      printf '%s\n' "$list" | setfacl --set-file=- ./f 2>/dev/null || no acl
    fi
  fi
  chmod "$3" ./f || no denied
  sync ./f 2>/dev/null
  still "$1" "$2"; move "$1"; printf '%s ok\n' "$item"
}
# name, state before, text.
link() {
  sweep; still "$1" "$2"; private
  ln -s -- "$3" ./f 2>/dev/null || no denied
  still "$1" "$2"; move "$1"; printf '%s ok\n' "$item"
}
# name, state before, names of the directories that may go, from the innermost.
gone() {
  if [ "$2" = n ] && [ ! -e "./$1" ] && [ ! -L "./$1" ]; then printf '%s ok\n' "$item"; exit 0; fi
  still "$1" "$2"
  rm -f -- "./$1" 2>/dev/null || no denied
  if [ -e "./$1" ] || [ -L "./$1" ]; then no denied; fi
  shift 2
  for dir in "$@"; do
    cd -P -- .. 2>/dev/null || break
    rmdir -- "./$dir" 2>/dev/null || break
  done
  printf '%s ok\n' "$item"
}
