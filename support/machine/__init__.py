"""Devices, several machines, and everything that makes an iteration quick."""
