"""Tests here run programs, at every level."""

import driver

at_every_level = sandbox = driver.at_every_level
polyglot = driver.polyglot
