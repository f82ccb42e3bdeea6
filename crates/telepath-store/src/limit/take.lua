-- Counts one request in a key's window, if there is room. The Redis server's clock decides which window it is.
--
-- KEYS[1]  the key's counter: start and count of its window
-- ARGV     limit, phase in seconds, start and count of the window as the calling server knows it
-- returns  whether there was room, start and count of the window
local limit, phase = tonumber(ARGV[1]), tonumber(ARGV[2])
local known_start, known_used = tonumber(ARGV[3]), tonumber(ARGV[4])
local now = tonumber(redis.call('TIME')[1])
local start = math.floor((now - phase) / 60) * 60 + phase
local used = 0
local stored = redis.call('HMGET', KEYS[1], 'start', 'used')
local stored_start, stored_used = tonumber(stored[1] or '-1'), tonumber(stored[2] or '0')
-- The later window counts: a clock that is set back frees nothing.
if stored_start >= start then
  start, used = stored_start, stored_used
end
-- What a server has already seen counts, even if it was evicted here.
if known_start > start then
  start, used = known_start, known_used
elseif known_start == start and known_used > used then
  used = known_used
end
local room = used < limit
if room then
  used = used + 1
end
if room or start ~= stored_start or used ~= stored_used then
  redis.call('HSET', KEYS[1], 'start', start, 'used', used)
  -- Expires one minute after the end of the window.
  redis.call('EXPIRE', KEYS[1], math.max(start + 120 - now, 1))
end
return { room and 1 or 0, start, used }
