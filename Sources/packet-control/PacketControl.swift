import ArgumentParser
import ControlPlaneAPI
import GRDB
import Hummingbird
import Ledger
import Logging
import NIOCore
import UsageRecord

@main struct PacketControl { static func main() {} }
