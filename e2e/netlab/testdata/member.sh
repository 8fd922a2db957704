#!/bin/sh
# A member of a service, as its commands control it: member.sh VERB DIRECTORY STALE. It says
# whether it takes writes, and refuses to be promoted under a lower epoch with the exit code
# STALE. Whoever takes a write or changes the state locks the state: an order that has ended
# is in force for every write after it.
cd "$2" || exit 1
exec 9<>state || exit 1
verb=$1
[ "$verb" = health ] && how=-s || how=-x
flock $how 9 || exit 1
read -r writable epoch <state
case $verb in
health)
	role=standby
	[ "$writable" = true ] && role=primary
	echo "{\"role\": \"$role\", \"writable\": $writable, \"position\": \"0\", \"streaming\": true}"
	;;
fence | demote | rejoin | promote)
	wanted=false
	if [ "$verb" = promote ]; then
		wanted=true
		if [ "$MAHAVISHNU_EPOCH" -lt "$epoch" ]; then
			echo "stale: $MAHAVISHNU_EPOCH is less than $epoch" >&2
			exit "$3"
		fi
	fi
	[ "$MAHAVISHNU_EPOCH" -gt "$epoch" ] && epoch=$MAHAVISHNU_EPOCH
	echo "$wanted $epoch" >state
	;;
*)
	echo "$verb is no order" >&2
	exit 1
	;;
esac
