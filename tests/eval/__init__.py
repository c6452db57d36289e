"""How far the transcripts can be trusted: the program and its peers over a corpus with references.

`python -m tests.eval CORPUS` reads the corpus, builds a few items of its own from it, runs the program and the peers on
the same files, scores both the same way and says which bars are met. `make eval CORPUS=DIR` prepares what it needs.

manifest   what the corpus holds, and the groups
items      items made from the corpus: padded speech, overlapping turns, bleed between channels
ours       one run of the program over a folder of links, read back from its lake
peers      faster-whisper and whisper.cpp on the same files, cached
heard      what an engine made of a file, whichever engine it was
normalise  what counts as the same word
score      errors, invented words, times, channels: figures of one item and of a group
bars       what must hold
report     tables and JSON
"""
