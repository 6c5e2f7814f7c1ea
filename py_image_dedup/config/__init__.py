"""The configuration: every option, read from file, environment and command line."""

from py_image_dedup.config.load import Loaded, load
from py_image_dedup.config.problem import ConfigError, Problem
from py_image_dedup.config.settings import Settings

__all__ = ["ConfigError", "Loaded", "Problem", "Settings", "load"]
