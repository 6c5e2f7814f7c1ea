"""The values of the domain: frozen dataclasses and enums, standard library only, no I/O.

Everything here is immutable and safe to share between threads.
"""
