"""Runs the quickstart's three tasks on any worker and prints their results."""

from quickstart_worker import Limit, Name, Seconds, cpu_heavy, externally_triggered, sync_sleep

print(externally_triggered.run(Name(name="Ada"))["message"])
print(sync_sleep.run(Seconds(seconds=0.1))["slept_seconds"] >= 0.1)
print(cpu_heavy.run(Limit(limit=1000))["primes"])
