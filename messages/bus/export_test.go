package bus

// Abandon stops renewing a sign, as the death of its process does.
func Abandon(g *Sign) {
	g.stop()
	g.shown.Wait()
}

// Pool are the servers that a connection goes on with when it loses its own.
func Pool(c *Conn) (urls []string) {
	for _, s := range c.nc.ServerPool() {
		urls = append(urls, s.URL.String())
	}
	return urls
}
