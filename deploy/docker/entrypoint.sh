#!/bin/sh
# Drops root for PUID and PGID, so that moved files belong to their owner, and starts the program.
set -eu
if [ "$(id -u)" != 0 ]; then
    exec py-image-dedup "$@"
fi
# Only the state folder changes its owner, and only if needed: the photos are never touched here.
if [ "$(stat -c %u:%g /state)" != "$PUID:$PGID" ] && ! chown "$PUID:$PGID" /state; then
    echo "/state cannot be given to $PUID:$PGID; use --user, or a volume that belongs to them" >&2
fi
exec setpriv --reuid="$PUID" --regid="$PGID" --clear-groups --no-new-privs py-image-dedup "$@"
