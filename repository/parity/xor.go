package parity

import "crypto/subtle"

// XOR adds data to dst, of which it has the length or less. What is added twice
// is gone again.
func XOR(dst, data []byte) { subtle.XORBytes(dst, dst[:len(data)], data) }
