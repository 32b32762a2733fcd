-- Preamble of scripts that unpack records. The format is in checkpoint_redis/saver/packing.py.
local NONE = 4294967295

-- `struct.unpack` of a record's header of `size` bytes; fails if the record is shorter.
local function unpacked(format, size, packed)
  if not packed or #packed < size then
    corrupt('a record of a thread is gone or cut short')
  end
  return struct.unpack(format, packed)
end

-- Returns parent, run, versions, metadata, v, and whether metadata is complete (nothing is
-- encrypted).
local function checkpoint_of(packed)
  local _, v, parent, run, versions, metadata, kind, body, sealed =
    unpacked('<BI4I4I4I4I4I4I4I4', 37, packed)
  local at = 38
  local function part(size)
    if size == NONE then
      return nil
    end
    at = at + size
    return string.sub(packed, at - size, at - 1)
  end
  return part(parent), part(run), part(versions), part(metadata), v, sealed == NONE
end

-- Whether a checkpoint's metadata may contain all fragments: what is encrypted may.
local function contains(packed, fragments)
  local _, _, _, metadata, _, is_complete = checkpoint_of(packed)
  for _, fragment in ipairs(fragments) do
    if is_complete and not string.find(metadata, fragment, 1, true) then
      return false
    end
  end
  return true
end

-- Returns the checksum of parent and versions: the record ends with this and then its own checksum,
-- 8 bytes each.
local function link_checksum_of(packed)
  return string.sub(packed, -16, -9)
end

local function layout_of_value(packed)
  local kind, layout = unpacked('<I4I4', 8, packed)
  return string.sub(packed, 9 + kind, 8 + kind + layout)
end

local function layout_of_write(packed)
  local path, channel, kind, layout = unpacked('<I4I4I4I4', 16, packed)
  local at = 17 + path + channel + kind
  return string.sub(packed, at, at + layout - 1), string.sub(packed, 17 + path, 16 + path + channel)
end

-- Calls use(start, end) for each range of the log in a layout (checkpoint_base/dedup/segments.py).
-- The range begins where its segment does.
local function each_span(layout, use)
  for at = 22, #layout - 15, 16 do
    local start, offset, length = struct.unpack('<I8I4I4', layout, at)
    use(start, start + offset + length)
  end
end

-- Calls use(channel, version, mark) for each channel; the mark is '-' if the channel has no value,
-- '=' if the value is embedded in the checkpoint, nil if it has a record of its own.
local function each_version(versions, use)
  for channel, mark, version in string.gmatch(versions, '([^%z]*)%z([-=]?)([^%z]*)%z') do
    use(channel, version, mark ~= '' and mark or nil)
  end
end
