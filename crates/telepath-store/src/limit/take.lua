-- Counts one request in a key's window, if there is room. The server's own clock decides which window it is.
--
-- KEYS[1]  the key's counter: start and count of its window
-- ARGV     limit, phase in seconds, start and count of the window as the asking server knows it
-- returns  whether there was room, start and count of the window
local limit, phase = tonumber(ARGV[1]), tonumber(ARGV[2])
local known_start, known_used = tonumber(ARGV[3]), tonumber(ARGV[4])
local second = tonumber(redis.call('TIME')[1])
local start = math.floor((second - phase) / 60) * 60 + phase
local used = 0
local held = redis.call('HMGET', KEYS[1], 'start', 'used')
local held_start, held_used = tonumber(held[1] or '-1'), tonumber(held[2] or '0')
-- The later window counts: a clock that was set back frees nothing.
if held_start >= start then
  start, used = held_start, held_used
end
-- What a server has seen counts even when it was forgotten here.
if known_start > start then
  start, used = known_start, known_used
elseif known_start == start and known_used > used then
  used = known_used
end
local room = used < limit
if room then
  used = used + 1
end
if room or start ~= held_start or used ~= held_used then
  redis.call('HSET', KEYS[1], 'start', start, 'used', used)
  -- Forgotten a minute after the window is over.
  redis.call('EXPIRE', KEYS[1], math.max(start + 120 - second, 1))
end
return { room and 1 or 0, start, used }
