-- Counts one request in a key's window, if there is room. All times are milliseconds by this server's clock, which may
-- be set at any time. A window that ends more than a minute from now was opened before the clock was set back, and is
-- discarded: no window lasts longer than a minute.
--
-- KEYS[1]  the key's window: its end and count
-- KEYS[2]  the count of the day, KEYS[3] that of the month; only of a key with quotas
-- ARGV     limit; phase in seconds; end and count of the window as the calling server knows it; whether that window is
--          over by the steady clock of the calling server; then for day and month: the quota (0 for none), the count as
--          the calling server knows it, and how many milliseconds the count is kept
-- returns  1 if there was room, 0 if the window is full, 2 if a quota is used up; end and count of the window;
--          milliseconds until its end; the counts of the day and the month
local MINUTE = 60000
local limit, phase = tonumber(ARGV[1]), tonumber(ARGV[2]) * 1000
local known_end, known_used, known_is_over = tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5] == '1'
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local stored = redis.call('HMGET', KEYS[1], 'end', 'used')
local stored_end, stored_used = tonumber(stored[1] or '0'), tonumber(stored[2] or '0')

local function is_open(ends)
  return ends > now and ends <= now + MINUTE
end

local ends, used
if is_open(stored_end) then
  ends, used = stored_end, stored_used
  -- What a server has already seen counts, even if it was lost here.
  if known_end == ends and not known_is_over then
    used = math.max(used, known_used)
  end
elseif is_open(known_end) and not known_is_over then
  ends, used = known_end, known_used
elseif stored_end <= now and now < stored_end + MINUTE then
  -- The next window starts where one ends.
  ends, used = stored_end + MINUTE, 0
else
  ends, used = (math.floor((now - phase) / MINUTE) + 1) * MINUTE + phase, 0
end
-- The clock was set back while the window was open: it has lasted a minute of real time.
if known_is_over and known_end == ends then
  ends, used = now + MINUTE, 0
end

-- The counts of the day and the month. What a server has already seen counts, even if it was lost here.
local counts, exhausted = { 0, 0 }, false
for place = 1, #KEYS - 1 do
  local quota, known = tonumber(ARGV[3 + 3 * place]), tonumber(ARGV[4 + 3 * place])
  counts[place] = math.max(tonumber(redis.call('GET', KEYS[place + 1]) or '0'), known)
  exhausted = exhausted or (quota > 0 and counts[place] >= quota)
end

local room = used < limit and not exhausted
if room then
  used = used + 1
  for place = 1, #KEYS - 1 do
    counts[place] = counts[place] + 1
    redis.call('SET', KEYS[place + 1], counts[place], 'PX', ARGV[5 + 3 * place])
  end
end
if room or ends ~= stored_end or used ~= stored_used then
  redis.call('HSET', KEYS[1], 'end', string.format('%.0f', ends), 'used', used)
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', ends - now + MINUTE))
end
return { exhausted and 2 or (room and 1 or 0), ends, used, ends - now, counts[1], counts[2] }
