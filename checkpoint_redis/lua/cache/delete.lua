-- Removes entries. ARGV: their ids.
return remove_all(ARGV)
