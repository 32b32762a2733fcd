-- Removes entries. ARGV: their ids. Reply: how many ids.
return remove_all(ARGV)
