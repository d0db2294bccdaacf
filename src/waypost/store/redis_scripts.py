"""What Redis does in one step each, in Lua: nothing comes between its looking and its writing.

Keys share a hash tag, so that a cluster keeps them together.  Money is in whole billionths of a dollar.  Each request
and each reservation has an id, and ``done`` remembers for a while that it has ended: what arrives twice, or after its
end, changes nothing.
"""

from __future__ import annotations

# A second's usage counts until the whole of that second is a minute ago, as in the limiter of one process.  When the
# clock of Redis goes back, the difference is added to it from then on: for a window, time never goes back.
_WINDOW = """
local function window(key, now)
  local w = {key = key, total = 0, cells = {}, skew = 0}
  local last, flat = 0, redis.call('HGETALL', key)
  for i = 1, #flat, 2 do
    local name, value = flat[i], tonumber(flat[i + 1])
    if name == 'last' then last = value
    elseif name == 'skew' then w.skew = value
    else w.cells[#w.cells + 1] = {tonumber(name), value} end
  end
  if now + w.skew < last then w.skew = last - now end
  w.now = now + w.skew
  w.second = math.floor(w.now)
  local kept = {}
  for _, cell in ipairs(w.cells) do
    if cell[1] <= w.second - 61 then
      redis.call('HDEL', key, string.format('%.0f', cell[1]))
    else
      kept[#kept + 1] = cell
      w.total = w.total + cell[2]
    end
  end
  w.cells = kept
  return w
end

local function add(w, amount)
  redis.call('HINCRBY', w.key, string.format('%.0f', w.second), amount)
  redis.call('HSET', w.key, 'last', string.format('%.6f', w.now), 'skew', string.format('%.6f', w.skew))
  redis.call('EXPIRE', w.key, 130)
end

local function wait(w, amount, limit)
  if amount > limit then return -1 end
  table.sort(w.cells, function(a, b) return a[1] < b[1] end)
  local over = w.total + amount - limit
  for _, cell in ipairs(w.cells) do
    over = over - cell[2]
    if over <= 0 then return math.ceil((cell[1] + 61 - w.now) * 1000) end
  end
  return 0
end

local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
"""

# KEYS: done, then of each scope requests, tokens, leases.
# ARGV: id, tokens, lease in ms, then of each scope its limits of requests, tokens, parallel (-1: none).
# Gives 1 and of each scope requests left, tokens left, the second of its tokens; or 0, which scope, what, ms to wait.
ADMIT = (
    _WINDOW
    + """
if redis.call('EXISTS', KEYS[1]) == 1 then return {0, 0, 0, 0} end
local id, tokens, lease = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local count = (#KEYS - 1) / 3
local scopes = {}
for i = 1, count do
  local s = {leases = KEYS[3 * i + 1]}
  local requests, used, parallel = tonumber(ARGV[3 * i + 1]), tonumber(ARGV[3 * i + 2]), tonumber(ARGV[3 * i + 3])
  s.parallel, s.left, s.tokens_left, s.second = parallel, -1, -1, -1
  if parallel >= 0 then
    redis.call('ZREMRANGEBYSCORE', s.leases, '-inf', string.format('%.0f', now * 1000))
    if redis.call('ZCARD', s.leases) >= parallel then return {0, i, 0, 1000} end
  end
  if requests >= 0 then
    s.requests = window(KEYS[3 * i - 1], now)
    s.left = requests - s.requests.total - 1
    if s.left < 0 then return {0, i, 1, wait(s.requests, 1, requests)} end
  end
  if used >= 0 then
    s.tokens = window(KEYS[3 * i], now)
    s.tokens_left = used - s.tokens.total - tokens
    if s.tokens_left < 0 then return {0, i, 2, wait(s.tokens, tokens, used)} end
    s.second = s.tokens.second
  end
  scopes[i] = s
end
local reply = {1}
for i, s in ipairs(scopes) do
  if s.parallel >= 0 then
    redis.call('ZADD', s.leases, string.format('%.0f', now * 1000 + lease), id)
    redis.call('PEXPIRE', s.leases, lease)
  end
  if s.requests then add(s.requests, 1) end
  if s.tokens then add(s.tokens, tokens) end
  reply[3 * i - 1], reply[3 * i], reply[3 * i + 1] = s.left, s.tokens_left, s.second
end
return reply
"""
)

# KEYS: done, then of each scope tokens, leases.  ARGV: id, change of the tokens, then of each scope their second (-1).
RELEASE = (
    _WINDOW
    + """
if not redis.call('SET', KEYS[1], 1, 'NX', 'EX', 300) then return 0 end
local change = tonumber(ARGV[2])
for i = 1, (#KEYS - 1) / 2 do
  redis.call('ZREM', KEYS[2 * i + 1], ARGV[1])
  local second, key = ARGV[2 + i], KEYS[2 * i]
  if change ~= 0 and second ~= '-1' then
    local w = window(key, now) -- forgets what is too old to be counted, to which nothing is to be added
    if redis.call('HEXISTS', key, second) == 1 then redis.call('HINCRBY', key, second, change)
    elseif change > 0 then add(w, change) end
  end
end
return 1
"""
)

# KEYS: leases.  ARGV: lease in ms, then the id of each.
BEAT = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for i, key in ipairs(KEYS) do
  redis.call('ZADD', key, 'XX', string.format('%.0f', now + ARGV[1]), ARGV[1 + i])
  redis.call('PEXPIRE', key, ARGV[1])
end
return #KEYS
"""

# A counter that Redis has lost begins again with what its callers know.  Each of its lives has a name, the id that
# began it, so that a caller can tell that it knows of an earlier one: the most that anyone knew then is the ``base`` of
# this life, and all that is added in it comes on top.  A caller who has seen no life yet knows the log, which has all.
_COUNTER = """
local function whole(number) return string.format('%.0f', number) end

local function counter(key, id, ttl, known, seen)
  local spent, base, life = unpack(redis.call('HMGET', key, 'spent', 'base', 'life'))
  spent, base, known = tonumber(spent or 0), tonumber(base or 0), tonumber(known)
  if not life then
    spent, base, life = known, known, id
  elseif seen == '' then
    spent = math.max(spent, known)
  elseif seen ~= life and known > base then
    spent, base = spent + known - base, known
  end
  redis.call('HSET', key, 'spent', whole(spent), 'base', whole(base), 'life', life)
  redis.call('EXPIRE', key, ttl)
  return spent, life
end
"""

# KEYS: done, held, then of each scope its counter.
# ARGV: id, amount, seconds to keep it, then of each scope seconds to live, known, life, limit.
# Gives 0, or which scope has less, and of each scope spent, life.  What is never settled stays spent.
RESERVE = (
    _COUNTER
    + """
if redis.call('EXISTS', KEYS[1]) == 1 then return {-1} end
local id, amount = ARGV[1], tonumber(ARGV[2])
local reply, refused = {0}, 0
for i = 1, #KEYS - 2 do
  local at = 4 * i
  local spent, life = counter(KEYS[i + 2], id, ARGV[at], ARGV[at + 1], ARGV[at + 2])
  if refused == 0 and spent + amount > tonumber(ARGV[at + 3]) then refused = i end
  reply[2 * i], reply[2 * i + 1] = spent, life
end
reply[1] = refused
if refused > 0 then return reply end
for i = 1, #KEYS - 2 do
  reply[2 * i] = redis.call('HINCRBY', KEYS[i + 2], 'spent', whole(amount))
end
redis.call('SET', KEYS[2], whole(amount), 'EX', ARGV[3])
return reply
"""
)

# KEYS: done, held, then of each scope its counter.
# ARGV: id, what it cost, seconds to remember, what is known to have been reserved (-1: nobody knows whether anything),
# then of each scope seconds to live, known, life.  Gives of each scope spent, life.
SETTLE = (
    _COUNTER
    + """
local first = redis.call('SET', KEYS[1], 1, 'NX', 'EX', ARGV[3])
local held = redis.call('GETDEL', KEYS[2])
local reserved = tonumber(ARGV[4])
if reserved < 0 then reserved = tonumber(held or 0) end
local reply = {}
for i = 1, #KEYS - 2 do
  local at = 2 + 3 * i
  local spent, life = counter(KEYS[i + 2], ARGV[1], ARGV[at], ARGV[at + 1], ARGV[at + 2])
  if first then spent = redis.call('HINCRBY', KEYS[i + 2], 'spent', whole(tonumber(ARGV[2]) - reserved)) end
  reply[2 * i - 1], reply[2 * i] = spent, life
end
return reply
"""
)

SCRIPTS = {"admit": ADMIT, "release": RELEASE, "beat": BEAT, "reserve": RESERVE, "settle": SETTLE}
