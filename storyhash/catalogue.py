"""What an `index` run has to do: entries of a catalogue held against what is indexed already."""
