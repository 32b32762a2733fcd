-- What the server says about itself.
return redis.call('INFO', 'server')
