@main struct PacketControl { static func main() {} }
