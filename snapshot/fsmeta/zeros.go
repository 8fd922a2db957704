package fsmeta

import "os"

// writeZeros overwrites a range where no hole can be punched.
func writeZeros(f *os.File, off, length int64) error {
	var zeros [64 << 10]byte
	for length > 0 {
		n, err := f.WriteAt(zeros[:min(length, int64(len(zeros)))], off)
		if err != nil {
			return err
		}
		off, length = off+int64(n), length-int64(n)
	}
	return nil
}
