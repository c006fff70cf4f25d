-- SPDX-License-Identifier: BSD-3-Clause
--
-- The part of the dissector that is the same whatever the tables say: `head`, `types`, `chunk` and
-- `guarantees` come before it. Frames are known by their magic, on any UDP port.
--
-- synchrotron.malformed marks what no frame can be; bytes that the capture cut off are no fault of
-- the frame, and shown as far as they are there.

local proto = Proto("synchrotron", "Synchrotron ring")
local fields = {}
local type_names = {}
local malformed = ProtoExpert.new("synchrotron.malformed", "No frame can be so", expert.group.MALFORMED,
                                  expert.severity.ERROR)
local version_unknown = ProtoExpert.new("synchrotron.version_unknown", "A version this does not know",
                                        expert.group.UNDECODED, expert.severity.WARN)
local cut = ProtoExpert.new("synchrotron.cut", "The capture kept less than this", expert.group.UNDECODED,
                            expert.severity.NOTE)
proto.experts = { malformed, version_unknown, cut }

for number, kind in pairs(types) do
    type_names[number] = kind.name
end

local makers = { [1] = ProtoField.uint8, [2] = ProtoField.uint16, [4] = ProtoField.uint32,
                 [8] = ProtoField.uint64 }

local function make_field(key, name, bytes, says, hex, names)
    local abbr = "synchrotron." .. key
    if makers[bytes] == nil then
        fields[key] = ProtoField.bytes(abbr, name, base.NONE, says)
    else
        fields[key] = makers[bytes](abbr, name, hex and base.HEX or base.DEC, names, nil, says)
    end
end

local function make_flag(key, name, bytes, bit, says)
    fields[key] = ProtoField.bool("synchrotron." .. key, name, 8 * bytes, nil, 2 ^ bit, says)
end

local function field_named(list, name)
    for _, field in ipairs(list) do
        if field.name == name then
            return field
        end
    end
end

for _, field in ipairs(head.fields) do
    make_field(field.name, field.name, field.bytes, field.says, field.hex,
               field.name == "type" and type_names or nil)
end
for _, kind in pairs(types) do
    for _, field in ipairs(kind.fields) do
        make_field(kind.name .. "." .. field.name, field.name, field.bytes, field.says, field.hex)
    end
    for _, flag in ipairs(kind.flags) do
        make_flag(kind.name .. "." .. flag.name:lower(), flag.name,
                  field_named(kind.fields, "flags").bytes, flag.bit, flag.says)
    end
    for _, list in ipairs(kind.lists) do
        if list.name ~= "chunk" then
            make_field(kind.name .. "." .. list.name, list.name, list.bytes, list.says)
        end
    end
end
for _, part in ipairs(chunk.parts) do
    local key = "chunk." .. part.name:lower()
    if part.bits == 1 then
        make_flag(key, part.name, part.bytes, part.bit, part.says)
    else
        fields[key] = ProtoField.uint32("synchrotron." .. key, part.name, base.DEC,
                                        part.name == "guarantee" and guarantees or nil,
                                        (2 ^ part.bits - 1) * 2 ^ part.bit, part.says)
    end
end
fields["chunk"] = ProtoField.none("synchrotron.chunk", "chunk")
fields["piece"] = ProtoField.bytes("synchrotron.piece", "piece", base.NONE, "bytes of a message")

local all = {}
for _, field in pairs(fields) do
    all[#all + 1] = field
end
proto.fields = all

-- What a frame says, for the line in the list and for the lists behind the fixed part.
local function value(tvb, at, bytes)
    if at + bytes > tvb:len() then
        return nil
    end
    return bytes == 8 and tvb(at, 8):le_uint64() or tvb(at, bytes):le_uint()
end

local function field_value(tvb, list, name)
    local field = field_named(list, name)
    return field and field.bytes <= 8 and value(tvb, field.at, field.bytes) or nil
end

-- False: it is not there. That is the capture's doing, or the frame's own.
local function there(tvb, tree, at, bytes)
    if at + bytes <= tvb:len() then
        return true
    end
    tree:add_proto_expert_info(at + bytes <= tvb:reported_len() and cut or malformed)
    return false
end

local function add_fields(tvb, tree, prefix, list)
    for _, field in ipairs(list) do
        if not there(tvb, tree, field.at, field.bytes) then
            return false
        end
        local range = tvb(field.at, field.bytes)
        if field.bytes > 8 then
            tree:add(fields[prefix .. field.name], range)
        else
            tree:add_le(fields[prefix .. field.name], range)
        end
    end
    return true
end

local function add_flags(tvb, tree, kind)
    local flags = field_named(kind.fields, "flags")
    for _, flag in ipairs(kind.flags) do
        tree:add_le(fields[kind.name .. "." .. flag.name:lower()], tvb(flags.at, flags.bytes))
    end
end

local function bit_range(word, first, count)
    return math.floor(word / 2 ^ first) % 2 ^ count
end

-- One chunk and, behind all chunks, its piece, which begins at `place` of the payload. Returns where
-- the piece ends.
local function add_chunk(tvb, tree, at, payload, place)
    local bytes = bit_range(tvb(at, 4):le_uint(), 0, 24)
    local branch = tree:add(fields["chunk"], tvb(at, chunk.bytes))
    branch:append_text(string.format(": %d bytes, port %d", bytes,
                                     bit_range(tvb(at + 4, 4):le_uint(), 0, 24)))
    for _, part in ipairs(chunk.parts) do
        branch:add_le(fields["chunk." .. part.name:lower()], tvb(at + part.at, part.bytes))
    end
    if bytes == 0 then
        return place
    end
    place = math.ceil(place / WIRE_PAYLOAD_ALIGN) * WIRE_PAYLOAD_ALIGN
    if there(tvb, branch, payload + place, bytes) then
        branch:add(fields["piece"], tvb(payload + place, bytes))
    end
    return place + bytes
end

local function add_chunks(tvb, tree, at, count, payload)
    local place = 0
    for _ = 1, count do
        if not there(tvb, tree, at, chunk.bytes) then
            return false
        end
        place = add_chunk(tvb, tree, at, payload, place)
        at = at + chunk.bytes
    end
    if at ~= payload or payload + place ~= tvb:reported_len() then
        tree:add_proto_expert_info(malformed, "chunks and payload do not fit each other")
    end
    return true
end

local function add_list(tvb, tree, key, at, count, bytes)
    for _ = 1, count do
        if not there(tvb, tree, at, bytes) then
            return false
        end
        tree:add_le(fields[key], tvb(at, bytes))
        at = at + bytes
    end
    return true
end

local function add_lists(tvb, tree, kind)
    local at = kind.bytes
    for _, list in ipairs(kind.lists) do
        local count = field_value(tvb, kind.fields, list.count)
        local whole
        if list.name == "chunk" then
            whole = add_chunks(tvb, tree, at, count, field_value(tvb, head.fields, "head_bytes"))
            at = tvb:reported_len()
        else
            whole = add_list(tvb, tree, kind.name .. "." .. list.name, at, count, list.bytes)
            at = at + count * list.bytes
        end
        if not whole then
            return
        end
    end
    if at ~= tvb:reported_len() then
        tree:add_proto_expert_info(malformed, "its lists do not end where the frame does")
    end
end

-- The line in the list of packets.
local shown = { "token_seq", "seq", "aru", "old_seq", "chunk_count", "rtr_count", "backlog", "proc_count",
                "fail_count", "member_count" }

local function summary(tvb, kind, number)
    local words = { string.format("%s from %d, ring %d.%s", kind and kind.title or "type " .. number,
                                  field_value(tvb, head.fields, "sender"),
                                  field_value(tvb, head.fields, "ring_rep"),
                                  tostring(field_value(tvb, head.fields, "ring_seq"))) }
    for _, name in ipairs(kind and shown or {}) do
        local said = field_value(tvb, kind.fields, name)
        if said then
            words[#words + 1] = name .. "=" .. tostring(said)
        end
    end
    return table.concat(words, " ")
end

local function known_version(tvb, kind)
    local version = field_value(tvb, head.fields, "version")
    return kind.name == "join" or (version >= WIRE_VERSION_LOW and version <= WIRE_VERSION_HIGH)
end

local function add_body(tvb, tree, kind)
    if kind == nil then
        tree:add_proto_expert_info(malformed, "no such type")
    elseif not known_version(tvb, kind) then
        tree:add_proto_expert_info(version_unknown)
    elseif add_fields(tvb, tree, kind.name .. ".", kind.fields) then
        add_flags(tvb, tree, kind)
        add_lists(tvb, tree, kind)
    end
end

function proto.dissector(tvb, pinfo, root)
    local tree = root:add(proto, tvb())
    pinfo.cols.protocol = "SYNCHROTRON"
    if not add_fields(tvb, tree, "", head.fields) then
        return tvb:len()
    end
    local number = field_value(tvb, head.fields, "type")
    local kind = types[number]
    local line = summary(tvb, kind, number)
    tree:append_text(": " .. line)
    pinfo.cols.info = line
    if field_value(tvb, head.fields, "frame_bytes") ~= tvb:reported_len() then
        tree:add_proto_expert_info(malformed, "its length is not the datagram's")
    end
    add_body(tvb, tree, kind)
    return tvb:len()
end

local function is_ours(tvb)
    return tvb:len() >= 4 and tvb(0, 4):le_uint() == WIRE_MAGIC
end

local function try(tvb, pinfo, root)
    if not is_ours(tvb) then
        return false
    end
    proto.dissector(tvb, pinfo, root)
    return true
end

proto:register_heuristic("udp", try)

-- The port we have unless told otherwise is Corosync's, and wireshark asks whom a port belongs to
-- before it asks around: so that is us, and what is not ours goes to whom it belonged before.
local DEFAULT_PORT = 5405
local ports = DissectorTable.get("udp.port")
local before = ports:get_dissector(DEFAULT_PORT)
local by_port = Proto("synchrotron_port", "Synchrotron ring, or Corosync")

function by_port.dissector(tvb, pinfo, root)
    if is_ours(tvb) then
        return proto.dissector(tvb, pinfo, root)
    end
    return before and before:call(tvb, pinfo, root) or 0
end

ports:set(DEFAULT_PORT, by_port)
