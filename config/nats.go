package config

// NATS is the message system that carries jobs.
type NATS struct {
	// The servers, as "tls://host:4222", several separated by commas. Empty: a
	// server runs inside this process (`mahavishnu up`). Anything but a loopback
	// address needs TLS 1.3.
	URL string `yaml:"url" env:"MAHAVISHNU_NATS_URL"`
	// Where the embedded server listens, as "host:port"; port 0 picks a free one.
	// Without meaning when url is set. Listening on anything but a loopback
	// address needs a password and a certificate.
	Listen string `yaml:"listen"`
	// Where the embedded server keeps its streams. Empty: "nats" inside
	// node.data_dir.
	StoreDir string `yaml:"store_dir"`
	// How often the embedded server makes what it has accepted safe against a
	// power cut; "always" is before every acknowledgement. Up to this much of
	// the queue, never of a backup, is lost when the power goes.
	SyncInterval SyncInterval `yaml:"sync_interval"`
	// How many servers hold each stream: 1, 3 or 5. The embedded server is one.
	// 0: 1 when embedded, 3 otherwise.
	Replicas int `yaml:"replicas"`
	// The user to connect as; for the embedded server, the one that may connect.
	User string `yaml:"user" env:"MAHAVISHNU_NATS_USER"`
	// The user's password. Prefer password_file, or the environment; only one of
	// them may be given.
	Password Secret `yaml:"password" env:"MAHAVISHNU_NATS_PASSWORD"`
	// A file that holds the password, which others must not be able to read
	// (mode 0640 or stricter). One newline at its end does not count.
	PasswordFile string `yaml:"password_file" env:"MAHAVISHNU_NATS_PASSWORD_FILE"`
	// A NATS credentials file (JWT and seed), mode 0640 or stricter; instead of
	// user and password.
	CredsFile string `yaml:"creds_file" env:"MAHAVISHNU_NATS_CREDS_FILE"`
	// What the subjects of answers begin with, where the user's permissions name an
	// inbox of its own, as "_INBOX.worker". Empty: "_INBOX".
	InboxPrefix string `yaml:"inbox_prefix"`
	// Certificates of the connection.
	TLS TLS `yaml:"tls"`
	// How leadership is held.
	Lease Lease `yaml:"lease"`
	// What the region does while it is cut off from the servers of url.
	Island Island `yaml:"island"`
}

// TLS names the certificates of a connection. TLS 1.3 is the least accepted.
type TLS struct {
	// The authority that signed the other side's certificate, as a PEM file.
	// Empty: the system's.
	CAFile string `yaml:"ca_file"`
	// Our certificate, as a PEM file; needs key_file.
	CertFile string `yaml:"cert_file"`
	// Our certificate's private key, as a PEM file, mode 0640 or stricter.
	KeyFile string `yaml:"key_file"`
}

// Lease says how leadership is held. The leader stops itself before anybody
// else may take over: renew_deadline + stop_time + margin must be less than
// duration. A renewal may get lost: renew_interval must be at most half of
// renew_deadline.
type Lease struct {
	// How long a leader that has gone silent keeps its place.
	Duration Duration `yaml:"duration"`
	// How often the leader renews.
	RenewInterval Duration `yaml:"renew_interval"`
	// How long after the last renewal that was acknowledged the leader stops
	// leading by itself.
	RenewDeadline Duration `yaml:"renew_deadline"`
	// How long it may take the leader to stop.
	StopTime Duration `yaml:"stop_time"`
	// What is kept for clocks that run unevenly.
	Margin Duration `yaml:"margin"`
}
