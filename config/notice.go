package config

// Notice is something the operator should know though nothing is wrong: a
// setting that is on but cannot take effect yet, or a configuration that
// protects nothing.
type Notice struct {
	// Key is the dotted path of the setting.
	Key string
	// Message is a whole sentence.
	Message string
}

// String renders "key: message".
func (n Notice) String() string { return n.Key + ": " + n.Message }
