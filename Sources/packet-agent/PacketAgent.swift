@main struct PacketAgent { static func main() {} }
