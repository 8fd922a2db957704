package config

import (
	"net"
	"net/url"
	"strconv"
	"strings"
)

func (l *loader) checkNATS(n *NATS) {
	switch n.Replicas {
	case 1, 3, 5:
	default:
		l.valuef("nats.replicas", "must be 1, 3 or 5, not %d: an even number is no safer than one less", n.Replicas)
	}
	if n.URL == "" {
		l.checkEmbedded(n)
	} else {
		l.checkServers(n)
	}
	l.checkCredentials(n)
	l.checkLease("nats.lease.", n.Lease)
	l.checkIsland(n)
}

func (l *loader) checkEmbedded(n *NATS) {
	if n.Replicas > 1 {
		l.valuef("nats.replicas", "the embedded server is one and cannot hold %d replicas: write 1, or set nats.url to a cluster", n.Replicas)
	}
	if n.CredsFile != "" {
		l.value("nats.creds_file", "the embedded server knows users and passwords only: remove it, or set nats.url")
	}
	host, ok := l.checkListen("nats.listen", n.Listen)
	if !ok || isLoopback(host) {
		return
	}
	switch {
	case n.Password.IsZero():
		l.valuef("nats.listen", "%s can be reached by other machines: set nats.user and nats.password_file first, or listen on 127.0.0.1", n.Listen)
	case n.TLS.CertFile == "":
		l.valuef("nats.listen", "%s can be reached by other machines: set nats.tls.cert_file and key_file first, or listen on 127.0.0.1", n.Listen)
	}
}

// checkServers checks the URLs of servers elsewhere, and refuses the settings
// that only the embedded server has.
func (l *loader) checkServers(n *NATS) {
	for key, value := range map[string]string{"nats.listen": n.Listen, "nats.store_dir": n.StoreDir} {
		if value != "" {
			l.value(key, "concerns the embedded server, but nats.url names one elsewhere: keep one of the two")
		}
	}
	l.checkServerURLs("nats.url", n.URL)
}

// checkServerURLs checks the addresses of servers, separated by commas.
func (l *loader) checkServerURLs(key, urls string) {
	for server := range strings.SplitSeq(urls, ",") {
		u, err := url.Parse(strings.TrimSpace(server))
		switch {
		case err != nil || u.Host == "" || u.Hostname() == "":
			l.value(key, `is not a server's address: write "tls://host:4222", several separated by commas`)
		case u.User != nil:
			l.value(key, "must not hold a password or a user: use nats.user with nats.password_file")
		case u.Scheme != "nats" && u.Scheme != "tls":
			l.valuef(key, `%q is not a kind of NATS address: write "tls://%s"`, u.Scheme+"://", u.Host)
		case u.Path != "" && u.Path != "/" || u.RawQuery != "":
			l.valuef(key, `only a host and a port can be given: write "%s://%s"`, u.Scheme, u.Host)
		case u.Scheme == "nats" && !isLoopback(u.Hostname()):
			l.valuef(key, `%s is another machine, and jobs cross the network only under TLS 1.3: write "tls://%s", `+
				`give the server a certificate (its tls block), and name the authority in nats.tls.ca_file if it is your own`, u.Hostname(), u.Host)
		}
	}
}

func (l *loader) checkCredentials(n *NATS) {
	switch {
	case n.CredsFile != "" && (n.User != "" || !n.Password.IsZero()):
		l.value("nats.creds_file", "is given beside nats.user or nats.password: keep one way to log in")
	case n.CredsFile != "":
		l.private("nats.creds_file", n.CredsFile)
	case n.User != "" && n.Password.IsZero():
		l.missing("nats.user", "has no password: set nats.password_file, or MAHAVISHNU_NATS_PASSWORD", "nats")
	case n.User == "" && !n.Password.IsZero():
		l.missing("nats.user", "is missing, but a password is given: name whose it is", "nats")
	}
	if n.InboxPrefix != "" && (strings.ContainsAny(n.InboxPrefix, "*> \t") || strings.Trim(n.InboxPrefix, ".") != n.InboxPrefix || strings.Contains(n.InboxPrefix, "..")) {
		l.valuef("nats.inbox_prefix", `%q is no subject: write names with dots between them, as "_INBOX.worker"`, n.InboxPrefix)
	}
	t := n.TLS
	switch {
	case t.CertFile != "" && t.KeyFile == "":
		l.value("nats.tls.key_file", "is missing: a certificate is of no use without its private key")
	case t.CertFile == "" && t.KeyFile != "":
		l.value("nats.tls.cert_file", "is missing: a private key is of no use without its certificate")
	case t.KeyFile != "":
		l.private("nats.tls.key_file", t.KeyFile)
	}
	for key, path := range map[string]string{"nats.tls.ca_file": t.CAFile, "nats.tls.cert_file": t.CertFile} {
		if path != "" {
			l.readable(key, path)
		}
	}
}

func (l *loader) private(key, path string) {
	if err := checkPrivate(path); err != nil {
		l.value(key, err.Error())
	}
}

// checkLease holds the holder to stopping before anybody else may take over.
func (l *loader) checkLease(at string, s Lease) {
	none := false
	for key, d := range map[string]Duration{
		"duration": s.Duration, "renew_interval": s.RenewInterval, "renew_deadline": s.RenewDeadline,
		"stop_time": s.StopTime, "margin": s.Margin,
	} {
		if d <= 0 {
			l.value(at+key, "must be more than nothing")
			none = true
		}
	}
	if none {
		return
	}
	if 2*s.RenewInterval > s.RenewDeadline {
		l.valuef(at+"renew_interval", "%s is more than half of renew_deadline, %s: a single lost renewal would cost the lease",
			s.RenewInterval, s.RenewDeadline)
	}
	if sum := s.RenewDeadline + s.StopTime + s.Margin; sum >= s.Duration {
		l.valuef(at+"duration", "%s is not more than renew_deadline + stop_time + margin, %s: two could lead at once",
			s.Duration, sum)
	}
}

// checkListen refuses what nobody can listen on, and returns the host.
func (l *loader) checkListen(key, listen string) (host string, ok bool) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		l.valuef(key, `%q is not an address to listen on: write "host:port", for example "127.0.0.1:4222"`, listen)
		return "", false
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		l.valuef(key, "%q is not a port: write a number from 0 to 65535", port)
		return "", false
	}
	return host, true
}

// isLoopback reports whether a host is this machine and nobody else can hear.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
