"""Duplicates of videos: what a video is, when two of them are copies, and the process that decodes them.

Needs PyAV (the extra ``video``) in the process that decodes; the program itself never imports it.
"""
