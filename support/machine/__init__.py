"""Devices, several machines, random numbers, and everything that makes an iteration quick."""
