#!/bin/sh
# Drops root for PUID and PGID, so that moved files belong to their owner, and starts the program.
set -eu

# Outside the container others may reach the review page, so it always has a password: a random one if none was set.
make_password() {
    if [ ! -s /state/review_password ]; then
        (umask 077 && head -c 15 /dev/urandom | base64 >/state/review_password) ||
            echo "/state/review_password cannot be written; set PY_IMAGE_DEDUP_REVIEW_PASSWORD_FILE" >&2
    fi
}

if [ "$(id -u)" != 0 ]; then
    make_password
    exec py-image-dedup "$@"
fi
# Only the state folder changes its owner, and only if needed: the photos are never touched here.
if [ "$(stat -c %u:%g /state)" != "$PUID:$PGID" ] && ! chown "$PUID:$PGID" /state; then
    echo "/state cannot be given to $PUID:$PGID; use --user, or a volume that belongs to them" >&2
fi
make_password
if [ -e /state/review_password ] && [ "$(stat -c %u:%g /state/review_password)" != "$PUID:$PGID" ]; then
    chown "$PUID:$PGID" /state/review_password || true
fi
exec setpriv --reuid="$PUID" --regid="$PGID" --clear-groups --no-new-privs py-image-dedup "$@"
