# Functions for scripts that work in a clone of this project. They source this file in the project's folder.

# Clones HEAD into the folder $1, which must not exist, and copies the changes that are not committed.
clone_project() {
    local file
    git clone --quiet --no-checkout . "$1"
    git -C "$1" checkout --quiet --detach "$(git rev-parse HEAD)"
    { git diff --name-only -z HEAD && git ls-files -z --others --exclude-standard; } |
        while IFS= read -r -d '' file; do
            rm -f "$1/$file"
            [ ! -e "$file" ] || { mkdir -p "$1/$(dirname "$file")" && cp -pP "$file" "$1/$file"; }
        done
}

# Changes a line of a task in the project at $1: its description gets the suffix $2.
change_task() {
    local file=$1/src/tasks/sync_sleep.rs
    sed "s/\(\.description(\"[^\"]*\)\")/\1 ($2)\")/" "$file" >"$file.new"
    ! cmp -s "$file" "$file.new" || { echo "$file has no line .description(\"…\")" >&2; return 1; }
    mv "$file.new" "$file"
}

# Starts `make run-worker` in the project at $1 with its output in the file $2, waits until the worker listens, and sets
# `worker` to the id of its process group.
start_worker() {
    local deadline=$((SECONDS + 600))
    # Job control gives it a process group, so that make and the worker can be stopped together.
    set -m
    make --no-print-directory -C "$1" run-worker </dev/null >"$2" 2>&1 &
    set +m
    worker=$!
    until grep -q 'worker, listening' "$2"; do
        if ! kill -0 "$worker" 2>/dev/null || [ "$SECONDS" -gt "$deadline" ]; then
            cat "$2"
            return 1
        fi
        sleep 0.02
    done
}

# Stops the worker of `start_worker`, if it runs, and waits until no process of its group is left. Kills the processes
# that are left after 60 s, and fails.
stop_worker() {
    local group=${worker:-} deadline=$((SECONDS + 60))
    worker=""
    [ -n "$group" ] || return 0
    kill -TERM -- "-$group" 2>/dev/null || true
    while kill -0 -- "-$group" 2>/dev/null; do
        if [ "$SECONDS" -gt "$deadline" ]; then
            kill -KILL -- "-$group"
            return 1
        fi
        sleep 0.02
    done
    wait "$group" 2>/dev/null || true
}

# Removes the settings of the developer's environment, so that the worker uses the embedded engine of the clone.
clear_settings() {
    local name
    for name in "${!HATCHET_@}" CARGO_TARGET_DIR MAKEFLAGS MAKELEVEL; do unset "$name"; done
    # An empty token takes precedence over a .env file in the home folder.
    export HATCHET_CLIENT_TOKEN=""
}
