"""Attacks on yolo3 with counted outcomes: damaged inputs, kills, full disks, hostile surroundings."""
