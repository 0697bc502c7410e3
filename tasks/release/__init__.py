"""What is published: the files of a release, its manifest, card and report, and the releases before it."""
