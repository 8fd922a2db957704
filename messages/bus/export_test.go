package bus

// Abandon stops renewing a sign, as the death of its process does.
func Abandon(g *Sign) {
	g.stop()
	g.shown.Wait()
}
