package lookups

import (
	"bufio"
	"os"
	"strconv"
	"strings"
)

// resident reads what is in memory: anonymous pages, and pages of files below
// the cache. It is zero where the kernel does not tell.
func resident(cache string) (r Resident) {
	file, err := os.Open("/proc/self/smaps")
	if err != nil {
		return r
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	mapped := false // the lines belong to a file of the cache
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) >= 5 && strings.Contains(fields[0], "-"):
			mapped = len(fields) == 6 && below(fields[5], cache)
		case len(fields) == 3 && fields[0] == "Rss:" && mapped:
			r.Mapped += kilobytes(fields[1])
		case len(fields) == 3 && fields[0] == "Anonymous:":
			r.Held += kilobytes(fields[1])
		}
	}
	return r
}

func kilobytes(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return n << 10
}
