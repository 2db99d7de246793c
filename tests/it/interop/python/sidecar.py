"""Hatchet.from_embedded() with the Rust worker as the sidecar. With the argument `hold` it runs until it is killed."""

import os
import signal
import sys
import threading
import time

from hatchet_sdk import Context, EmptyModel, Hatchet

hatchet = Hatchet.from_embedded()


@hatchet.task(name="py-embedded")
def task(input: EmptyModel, ctx: Context) -> dict[str, str]:
    return {"text": "from the sidecar"}


def call() -> None:
    for _ in range(300):
        try:
            print(task.run()["text"], flush=True)
            break
        except Exception as error:
            # The worker has not registered the task yet.
            if "not found" not in str(error):
                raise
            time.sleep(0.1)
    if "hold" in sys.argv:
        time.sleep(3600)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=call, daemon=True).start()
    hatchet.worker("embedded", workflows=[task]).start()
    hatchet.stop_embedded()
